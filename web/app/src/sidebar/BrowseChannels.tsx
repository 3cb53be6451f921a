import type { Chat } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { getErrorMessage } from '../locales/errorMessage';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import styles from './lists.module.css';

/** The channels on one page. */
const PAGE_SIZE = 50;

/** How long typing must pause before a search starts, in milliseconds. */
const SEARCH_DELAY_MS = 250;

const getParams = (query: string) => ({ limit: PAGE_SIZE, ...(query.trim() && { q: query.trim() }) });

/** Lists public channels to open or join. */
export function BrowseChannels() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const [query, setQuery] = useState('');
  /** The loaded channels, and the query of the next page; null on the last page. */
  const [found, setFound] = useState<{ readonly items: readonly Chat[]; readonly next: string | null } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const joinedIds = useChatState(({ chats }) => [...chats.keys()]);

  useEffect(() => {
    let isCancelled = false;
    setError(null);
    const search = () =>
      chatStore.client.api.chats.listChannels(getParams(query)).then(
        (page) => !isCancelled && setFound(page),
        (error) => !isCancelled && setError(getErrorMessage(error)),
      );
    const timer = setTimeout(search, query === '' ? 0 : SEARCH_DELAY_MS);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [query, chatStore]);

  const loadMore = (page: string) =>
    withToast(async () => {
      const { items, next } = await chatStore.client.api.chats.listChannelsNext(page);
      // Ignore the page if another search has replaced the list meanwhile.
      setFound((now) => (now?.next === page ? { items: [...now.items, ...items], next } : now));
    });

  const openChannel = (chat: Chat) =>
    withToast(async () => {
      if (!joinedIds.includes(chat.id)) {
        await chatStore.client.api.chats.join(chat.id);
        await chatStore.ensureChat(chat.id);
      }
      closeModal();
      navigate(`/chats/${chat.id}`);
    });

  return (
    <Dialog title={t('chats.browse')} onClose={closeModal}>
      <div className={styles.form}>
        <Field label={t('chats.searchChannels')} value={query} onChange={(event) => setQuery(event.target.value)} />
        <FormError>{error}</FormError>
        <ul className={styles.list} aria-busy={found === null && error === null}>
          {found?.items.map((chat) => (
            <li key={chat.id} className={styles.row}>
              <div>
                <strong># {chat.name}</strong>
                <p>
                  {t('members.count', { count: chat.member_count })}
                  {chat.description && ` · ${chat.description}`}
                </p>
              </div>
              <Button variant={joinedIds.includes(chat.id) ? 'secondary' : 'primary'} onClick={() => openChannel(chat)}>
                {joinedIds.includes(chat.id) ? t('chats.open') : t('chats.join')}
              </Button>
            </li>
          ))}
          {found?.items.length === 0 && <li className={styles.empty}>{t('chats.noResults')}</li>}
        </ul>
        {found?.next && <Button onClick={() => found.next && loadMore(found.next)}>{t('search.loadMore')}</Button>}
      </div>
    </Dialog>
  );
}
