import { useTranslation } from 'react-i18next';
import { getChatTitle, useChatState } from '../store/hooks';
import { Icon } from '../ui/Icon';
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
        <Icon
          name={
            chat.type === 'single'
              ? 'person'
              : chat.type === 'group'
                ? 'people'
                : chat.type === 'private_channel'
                  ? 'lock'
                  : 'hash'
          }
          size={26}
        />
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
