import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatFullTime, formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { getAuthorName, getChatTitle, getShownAuthor, useChatState } from '../store/hooks';
import { useUiStore } from '../uiStore';
import styles from './LinkedMessages.module.css';
import { findMessageLinks, type MessageLink } from './messageLinks';
import { useMessageSummary } from './useMessageSummary';
import { useQuotedMessage } from './useQuotedMessage';

/** The messages to which a text links, each as a quote, which opens it unless it is static. */
export function LinkedMessages(props: { readonly text: string; readonly isStatic?: boolean }) {
  const { text, isStatic = false } = props;
  const links = useMemo(() => findMessageLinks(text, location.origin), [text]);
  return links.map((link) => <LinkedMessage key={link.messageId} link={link} isStatic={isStatic} />);
}

/** A quote has one height, so that nothing moves when its message is loaded. */
function LinkedMessage(props: { readonly link: MessageLink; readonly isStatic: boolean }) {
  const { chatId, messageId } = props.link;
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const quoted = useQuotedMessage(chatId, messageId);
  // A link may name another chat than that of the message.
  const message = quoted === 'unavailable' || quoted?.chat_id !== chatId ? null : quoted;
  const author = useChatState(({ users }) => users.get(message?.sender_id ?? 0));
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(chatId);
    return chat ? getChatTitle(state, chat) : '';
  });
  const summary = useMessageSummary(message);
  if (quoted === null) return <div className={styles.quote} aria-busy="true" />;
  if (!message) return <div className={styles.quote}>{t('message.unavailable')}</div>;
  const body = (
    <>
      <span className={styles.header}>
        <Avatar user={getShownAuthor(message, author)} size={16} />
        <strong dir="auto">{getAuthorName(message, author)}</strong>
        {chatTitle && <span dir="auto">{chatTitle}</span>}
        <time dateTime={message.created_at} title={formatFullTime(message.created_at)}>
          {formatShortTime(message.created_at)}
        </time>
      </span>
      <span className={styles.text} dir="auto">
        {summary}
      </span>
    </>
  );
  if (props.isStatic) return <div className={styles.quote}>{body}</div>;
  return (
    <button
      type="button"
      className={styles.quote}
      title={t('message.jumpToOriginal')}
      onClick={() => {
        requestScroll();
        navigate(`/chats/${chatId}/${messageId}`);
      }}
    >
      {body}
    </button>
  );
}
