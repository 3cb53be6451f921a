import type { Chat } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { getErrorMessage } from '../locales/errorMessage';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { useUiStore, withToast } from '../uiStore';
import styles from './lists.module.css';

/** Public channels, to look at and to join. */
export function BrowseChannels() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const [query, setQuery] = useState('');
  const [channels, setChannels] = useState<readonly Chat[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const joinedIds = useChatState(({ chats }) => [...chats.keys()]);

  useEffect(() => {
    let isCancelled = false;
    setError(null);
    const text = query.trim();
    const params = text ? { q: text, limit: 50 } : { limit: 50 };
    chatStore.client.api.chats.listChannels(params).then(
      ({ items }) => !isCancelled && setChannels(items),
      (error) => !isCancelled && setError(getErrorMessage(error)),
    );
    return () => {
      isCancelled = true;
    };
  }, [query, chatStore]);

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
        <ul className={styles.list} aria-busy={channels === null && error === null}>
          {channels?.map((chat) => (
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
          {channels?.length === 0 && <li className={styles.empty}>{t('chats.noResults')}</li>}
        </ul>
      </div>
    </Dialog>
  );
}
