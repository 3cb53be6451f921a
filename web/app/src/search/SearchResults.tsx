import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { KindBadge } from '../members/KindBadge';
import { isBlocked } from '../store/chatState';
import { getAuthorName, getChatTitle, getMessagePreview, getShownAuthor, useChatState } from '../store/hooks';
import { isWide, useUiStore } from '../uiStore';
import styles from './SearchResults.module.css';

/** A list of messages; a click jumps to the message. */
export function SearchResults({
  messages,
  showsChat,
}: {
  readonly messages: readonly Message[];
  readonly showsChat: boolean;
}) {
  return (
    <ul className={styles.results}>
      {messages.map((message) => (
        <SearchResult key={message.id} message={message} showsChat={showsChat} />
      ))}
    </ul>
  );
}

function SearchResult({ message, showsChat }: { readonly message: Message; readonly showsChat: boolean }) {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const { requestScroll, panel, togglePanel } = useUiStore();
  const author = useChatState(({ users }) => users.get(message.sender_id ?? 0));
  const isHidden = useChatState((state) => isBlocked(state, message.sender_id));
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(message.chat_id);
    return chat ? getChatTitle(state, chat) : '';
  });
  return (
    <li>
      <button
        type="button"
        className={styles.result}
        onClick={() => {
          requestScroll();
          // The panel would cover the message.
          if (panel && !isWide()) togglePanel(panel);
          navigate(`/chats/${message.chat_id}/${message.id}`);
        }}
      >
        <Avatar user={getShownAuthor(message, author)} size={28} />
        <span>
          <strong>{message.sender_id === null ? t('members.deletedUser') : getAuthorName(message, author)}</strong>
          <KindBadge user={author} />
          <time dateTime={message.created_at}>{formatShortTime(message.created_at)}</time>
          {showsChat && <small>{chatTitle}</small>}
          <span className={styles.preview}>{isHidden ? t('message.blocked') : getMessagePreview(message)}</span>
        </span>
      </button>
    </li>
  );
}
