import type { Chat } from '@confab/sdk';
import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getErrorMessage } from '../locales/errorMessage';
import lists from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';

/** The channels that are found at once. */
const PAGE_SIZE = 10;

/** The channels that everybody joins who signs up. */
export function DefaultChannels() {
  const { t } = useTranslation();
  const { chats, operator } = useChatStore().client.api;
  const [channels, setChannels] = useState<readonly Chat[] | null>(null);
  const [loadError, setLoadError] = useState<string | null>(null);
  const reload = useCallback(
    () => operator.listDefaultChannels().then(setChannels, (error) => setLoadError(getErrorMessage(error))),
    [operator],
  );
  useEffect(() => void reload(), [reload]);
  const [query, setQuery] = useState('');
  const fetchFirst = useCallback(
    (text: string) => chats.listChannels({ limit: PAGE_SIZE, ...(text.trim() && { q: text.trim() }) }),
    [chats],
  );
  const { items, error, isBusy } = usePages(query, fetchFirst, chats.listChannelsNext);
  const change = (request: Promise<unknown>) => withToast(() => request.then(reload));
  const others = items?.filter(({ id }) => !channels?.some((one) => one.id === id));
  return (
    <div className={lists.form}>
      <p className={lists.hint}>{t('operator.channelsHint')}</p>
      <FormError>{loadError}</FormError>
      <ul className={lists.list} aria-label={t('operator.channels')} aria-busy={channels === null}>
        {channels?.map((channel) => (
          <ChannelRow key={channel.id} channel={channel}>
            <Button onClick={() => change(operator.removeDefaultChannel(channel.id))}>{t('operator.remove')}</Button>
          </ChannelRow>
        ))}
        {channels?.length === 0 && <li className={lists.empty}>{t('operator.noChannels')}</li>}
      </ul>
      <Field
        label={t('operator.addChannel')}
        value={query}
        onChange={({ target }) => setQuery(target.value)}
        dir="auto"
      />
      <FormError>{error}</FormError>
      <ul className={lists.list} aria-busy={isBusy}>
        {others?.map((channel) => (
          <ChannelRow key={channel.id} channel={channel}>
            <Button onClick={() => change(operator.addDefaultChannel(channel.id))}>{t('operator.add')}</Button>
          </ChannelRow>
        ))}
        {others?.length === 0 && <li className={lists.empty}>{t('chats.noResults')}</li>}
      </ul>
    </div>
  );
}

function ChannelRow({ channel, children }: { readonly channel: Chat; readonly children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <li className={lists.row}>
      <div>
        <strong dir="auto"># {channel.name}</strong>
        <p dir="auto">
          {t('members.count', { count: channel.member_count })}
          {channel.description && ` · ${channel.description}`}
        </p>
      </div>
      {children}
    </li>
  );
}
