import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatFullTime, formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { isBlocked } from '../store/chatState';
import { getAuthorName, getChatTitle, getMessagePreview, getShownAuthor, useChatState } from '../store/hooks';
import { useUiStore } from '../uiStore';
import styles from './LinkedMessages.module.css';
import { findMessageLinks, type MessageLink } from './messageLinks';
import { useSystemText } from './SystemText';
import { useQuotedMessage } from './useQuotedMessage';

/** The messages to which a text links, each as a quote. */
export function LinkedMessages({ text }: { readonly text: string }) {
  const links = useMemo(() => findMessageLinks(text, location.origin), [text]);
  return links.map((link) => <LinkedMessage key={link.messageId} link={link} />);
}

/** A quote has one height, so that nothing moves when its message is loaded. */
function LinkedMessage({ link: { chatId, messageId } }: { readonly link: MessageLink }) {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const quoted = useQuotedMessage(chatId, messageId);
  // A link may name another chat than that of the message.
  const message = quoted === 'unavailable' || quoted?.chat_id !== chatId ? null : quoted;
  const author = useChatState(({ users }) => users.get(message?.sender_id ?? 0));
  const isHidden = useChatState((state) => isBlocked(state, message?.sender_id ?? null));
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(chatId);
    return chat ? getChatTitle(state, chat) : '';
  });
  const systemText = useSystemText(message);
  if (quoted === null) return <div className={styles.quote} aria-busy="true" />;
  if (!message) return <div className={styles.quote}>{t('message.unavailable')}</div>;
  return (
    <button
      type="button"
      className={styles.quote}
      aria-label={t('message.jumpToOriginal')}
      onClick={() => {
        requestScroll();
        navigate(`/chats/${chatId}/${messageId}`);
      }}
    >
      <span className={styles.header}>
        <Avatar user={getShownAuthor(message, author)} size={16} />
        <strong dir="auto">{getAuthorName(message, author)}</strong>
        {chatTitle && <span dir="auto">{chatTitle}</span>}
        <time dateTime={message.created_at} title={formatFullTime(message.created_at)}>
          {formatShortTime(message.created_at)}
        </time>
      </span>
      <span className={styles.text} dir="auto">
        {message.deleted_at
          ? t('message.deleted')
          : isHidden
            ? t('message.blocked')
            : (systemText ?? getMessagePreview(message))}
      </span>
    </button>
  );
}
