import type { Message } from '@confab/sdk';
import { Fragment, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatDateTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { KindBadge } from '../members/KindBadge';
import { navigateFromPanel } from '../panels';
import { isBlocked } from '../store/chatState';
import { getAuthorName, getChatTitle, getMessagePreview, getShownAuthor, useChatState } from '../store/hooks';
import { useUiStore } from '../uiStore';
import styles from './SearchResults.module.css';
import { createExcerpt } from './searchQuery';

/** A list of messages; a click jumps to the message. */
export function SearchResults(props: {
  readonly messages: readonly Message[];
  readonly showsChat: boolean;
  /** The words that stand out. */
  readonly words?: readonly string[];
  /** Renders what can be done with a message. */
  readonly renderAction?: (message: Message) => ReactNode;
}) {
  const { messages, showsChat, words = [], renderAction } = props;
  return (
    <ul className={styles.results}>
      {messages.map((message) => (
        <li key={message.id} className={styles.item}>
          <SearchResult message={message} showsChat={showsChat} words={words} />
          {renderAction?.(message)}
        </li>
      ))}
    </ul>
  );
}

function SearchResult(props: {
  readonly message: Message;
  readonly showsChat: boolean;
  readonly words: readonly string[];
}) {
  const { message, showsChat, words } = props;
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const author = useChatState(({ users }) => users.get(message.sender_id ?? 0));
  const isHidden = useChatState((state) => isBlocked(state, message.sender_id));
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(message.chat_id);
    return chat ? getChatTitle(state, chat) : '';
  });
  return (
    <button
      type="button"
      className={styles.result}
      onClick={() => {
        requestScroll();
        navigateFromPanel(navigate, `/chats/${message.chat_id}/${message.id}`);
      }}
    >
      <Avatar user={getShownAuthor(message, author)} size={28} />
      <span>
        <span className={styles.about}>
          <strong dir="auto">
            {message.sender_id === null ? t('members.deletedUser') : getAuthorName(message, author)}
          </strong>
          <KindBadge user={author} />
          {showsChat && <small dir="auto">{chatTitle}</small>}
          <time dateTime={message.created_at}>{formatDateTime(message.created_at)}</time>
        </span>
        <span className={styles.preview} dir="auto">
          {isHidden
            ? t('message.blocked')
            : createExcerpt(getMessagePreview(message), words).map(({ text, isMatch }, nth) =>
                isMatch ? <mark key={nth}>{text}</mark> : <Fragment key={nth}>{text}</Fragment>,
              )}
        </span>
      </span>
    </button>
  );
}
