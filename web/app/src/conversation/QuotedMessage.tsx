import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { KindBadge } from '../members/KindBadge';
import { getAuthorName, getShownAuthor, useChatState } from '../store/hooks';
import styles from './Message.module.css';
import { useMessageSummary } from './useMessageSummary';
import { useQuotedMessage } from './useQuotedMessage';

/** The quoted message above a reply. */
export function QuotedMessage(props: {
  readonly chatId: number;
  /** The message that is replied to. */
  readonly messageId: number;
  /** Omitted for an unsent message, whose quote is no link. */
  readonly onJump?: (messageId: number) => void;
}) {
  const { chatId, messageId: id, onJump } = props;
  const { t } = useTranslation();
  const quotedMessage = useQuotedMessage(chatId, id);
  const quoted = quotedMessage === 'unavailable' ? null : quotedMessage;
  const author = useChatState(({ users }) => users.get(quoted?.sender_id ?? 0));
  const summary = useMessageSummary(quoted);
  const body = quoted && (
    <>
      <Avatar user={getShownAuthor(quoted, author)} size={16} />
      <strong>{getAuthorName(quoted, author)}</strong>
      <KindBadge user={author} />
      <span dir="auto">{summary}</span>
    </>
  );
  if (!onJump) return <div className={styles.quote}>{body}</div>;
  return (
    <button type="button" className={styles.quote} onClick={() => onJump(id)} aria-label={t('message.jumpToOriginal')}>
      {body}
    </button>
  );
}
