import type { InboxEntry, InboxItemKind } from '@confab/sdk';
import { useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { useMessageSummary } from '../conversation/useMessageSummary';
import { formatFullTime, formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import pages from '../operator/OperatorPage.module.css';
import results from '../search/SearchResults.module.css';
import { DeviceNotifications } from '../settings/DeviceNotifications';
import { areNotificationsEnabled } from '../settings/notifications';
import lists from '../sidebar/lists.module.css';
import { getAuthorName, getChatTitle, useChatState, useChatStore } from '../store/hooks';
import { Button, IconButton } from '../ui/Button';
import { FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useThrottled } from '../ui/useThrottled';
import { useUiStore } from '../uiStore';
import styles from './Inbox.module.css';

const FILTERS = ['all', 'mention', 'reply', 'reaction', 'added'] as const;

/** The shortest time between two loads of the list, in milliseconds. */
const RELOAD_INTERVAL_MS = 1_000;

/** After these events the list may be another one. */
const RELOADING_EVENTS = [
  'inbox.added',
  'inbox.removed',
  'chat.removed',
  'chat.deleted',
  'user.blocked',
  'user.unblocked',
] as const;

/** What is addressed to the user, in all chats. */
export default function InboxPage() {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const chatStore = useChatStore();
  const { inbox } = chatStore.client.api;
  const [filter, setFilter] = useState<(typeof FILTERS)[number]>('all');
  const [offersNotifications] = useState(() => !areNotificationsEnabled());
  const markAllSeen = () =>
    withToast(async () => {
      const [newest] = (await inbox.list({ limit: 1 })).items;
      if (newest) await inbox.markSeen(newest.id);
    });
  return (
    <section className={pages.page} aria-label={t('inbox.title')}>
      <header className={pages.header}>
        <IconButton icon="back" label={t('backToChats')} className={pages.back ?? ''} onClick={() => navigate('/')} />
        <h1>{t('inbox.title')}</h1>
        <Button className={styles.markAll} onClick={markAllSeen}>
          {t('inbox.markAllSeen')}
        </Button>
      </header>
      {offersNotifications && <DeviceNotifications />}
      <fieldset className={styles.filters} aria-label={t('inbox.filter')}>
        {FILTERS.map((one) => (
          <Button key={one} variant="ghost" aria-pressed={filter === one} onClick={() => setFilter(one)}>
            {t(`inbox.filters.${one}`)}
          </Button>
        ))}
      </fieldset>
      <InboxList key={filter} filter={filter} />
    </section>
  );
}

/** The items of a kind. */
function InboxList({ filter }: { readonly filter: (typeof FILTERS)[number] }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { inbox } = chatStore.client.api;
  const fetchFirst = useCallback(() => inbox.list(filter === 'all' ? {} : { kind: filter }), [inbox, filter]);
  const { items, error, isBusy, loadMore, reload } = usePages('', fetchFirst, inbox.listNext);
  const reloadSoon = useThrottled(reload, RELOAD_INTERVAL_MS);
  useEffect(() => {
    const unsubscribers = RELOADING_EVENTS.map((name) => chatStore.client.on(name, reloadSoon));
    return () => {
      for (const unsubscribe of unsubscribers) unsubscribe();
    };
  }, [chatStore, reloadSoon]);
  useEffect(() => {
    chatStore.users.ensure((items ?? []).flatMap(({ actor_id }) => actor_id ?? []));
  }, [items, chatStore]);
  return (
    <>
      <FormError>{error}</FormError>
      <ul className={results.results} aria-busy={isBusy}>
        {items?.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
        {items?.length === 0 && <li className={lists.empty}>{t('inbox.empty')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </>
  );
}

function Entry({ entry }: { readonly entry: InboxEntry }) {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const actor = useChatState(({ users }) => users.get(entry.actor_id ?? 0));
  const isUnseen = useChatState((state) => entry.id > state.lastSeenInboxItemId);
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(entry.chat_id);
    return chat ? getChatTitle(state, chat) : '';
  });
  const { kind, message, emoji } = entry;
  const summary = useMessageSummary(message);
  // A reaction shows the user's own message, which has another author.
  const name = getAuthorName(kind === 'reaction' ? null : message, actor);
  return (
    <li>
      <button
        type="button"
        className={`${results.result} ${styles.entry}`}
        data-unseen={isUnseen}
        onClick={() => {
          requestScroll();
          navigate(`/chats/${entry.chat_id}${message ? `/${message.id}` : ''}`);
        }}
      >
        <Avatar user={actor} size={28} />
        <span>
          <span>{t(`inbox.${getTextKey(kind, entry.is_for_everyone)}`, { name, chat: chatTitle, emoji })}</span>
          <time dateTime={entry.created_at} title={formatFullTime(entry.created_at)}>
            {formatShortTime(entry.created_at)}
          </time>
          {isUnseen && <span className="visually-hidden"> {t('inbox.unseen')}</span>}
          {message && <span className={results.preview}>{summary}</span>}
        </span>
      </button>
    </li>
  );
}

const getTextKey = (kind: InboxItemKind, isForEveryone: boolean) =>
  kind === 'mention' && isForEveryone ? ('mentionOfEveryone' as const) : kind;
