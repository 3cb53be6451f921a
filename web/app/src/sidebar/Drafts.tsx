import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { DraftHandle, loadDraftText } from '../conversation/drafts';
import { getChatTitle, useChatState, useChatStore } from '../store/hooks';
import { Button, IconButton } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { useUiStore } from '../uiStore';
import styles from './lists.module.css';

/** The chats with an unsent text. */
export function Drafts() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const chats = useChatState((state) => [...state.chats.values()]);
  const titles = useChatState((state) => chats.map((chat) => getChatTitle(state, chat)));
  const [, setDiscarded] = useState(0);
  const drafts = chats
    .map((chat, nth) => ({ chat, title: titles[nth] ?? '', text: loadDraftText(chatStore, chat.id) }))
    .filter(({ text }) => text.trim() !== '');
  const discard = (chatId: number) => {
    new DraftHandle(chatStore, chatId).update({ text: '' });
    setDiscarded((count) => count + 1);
  };
  return (
    <Dialog title={t('chats.drafts')} onClose={closeModal}>
      <ul className={styles.list}>
        {drafts.map(({ chat, title, text }) => (
          <li key={chat.id} className={styles.row}>
            <div>
              <strong dir="auto">{title}</strong>
              <p dir="auto">{text.slice(0, 120)}</p>
            </div>
            <Button
              onClick={() => {
                closeModal();
                navigate(`/chats/${chat.id}`);
              }}
            >
              {t('chats.open')}
            </Button>
            <IconButton
              icon="trash"
              label={t('chats.discardDraft', { name: title })}
              onClick={() => discard(chat.id)}
            />
          </li>
        ))}
        {drafts.length === 0 && <li className={styles.empty}>{t('chats.noDrafts')}</li>}
      </ul>
    </Dialog>
  );
}
