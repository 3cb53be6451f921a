import { useTranslation } from 'react-i18next';
import { getChatTitle, useChatState } from '../store/hooks';
import { ChatIcon } from '../ui/ChatIcon';
import styles from './Message.module.css';

/** The header above the first message. */
export function ConversationStart({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const title = useChatState((state) => (chat ? getChatTitle(state, chat) : ''));
  if (!chat) return null;
  const isDirect = chat.type === 'single';
  return (
    <header className={styles.conversationStart}>
      <span>
        <ChatIcon type={chat.type} size={26} />
      </span>
      <h3>{title}</h3>
      <p>
        {chat.description ||
          (isDirect
            ? t('timeline.directConversationStart', { name: title })
            : t('timeline.conversationStart', { name: title }))}
      </p>
    </header>
  );
}
