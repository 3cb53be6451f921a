import type { Chat } from '@confab/sdk';
import { useCallback, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useUiStore } from '../uiStore';
import styles from './lists.module.css';

/** The channels on one page. */
const PAGE_SIZE = 50;

/** Lists public channels to open or join. */
export function BrowseChannels() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const [query, setQuery] = useState('');
  const { chats } = chatStore.client.api;
  const fetchFirst = useCallback(
    (text: string) => chats.listChannels({ limit: PAGE_SIZE, ...(text.trim() && { q: text.trim() }) }),
    [chats],
  );
  const { items, error, isBusy, loadMore } = usePages(query, fetchFirst, chats.listChannelsNext);
  const joinedIds = useChatState((state) => [...state.chats.keys()]);

  const openChannel = (chat: Chat) =>
    withToast(async () => {
      if (!joinedIds.includes(chat.id)) {
        await chats.join(chat.id);
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
        <ul className={styles.list} aria-busy={isBusy}>
          {items?.map((chat) => (
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
          {items?.length === 0 && <li className={styles.empty}>{t('chats.noResults')}</li>}
        </ul>
        {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
      </div>
    </Dialog>
  );
}
