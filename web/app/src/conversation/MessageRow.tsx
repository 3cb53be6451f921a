import type { Message } from '@confab/sdk';
import { type MouseEvent, memo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatCompactTime, formatFullTime, formatTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { KindBadge } from '../members/KindBadge';
import { isBlocked } from '../store/chatState';
import { getAuthorName, getMessagePreview, getShownAuthor, useChatState, useChatStore } from '../store/hooks';
import { Icon } from '../ui/Icon';
import { openPopup } from '../ui/popup';
import { useContextMenu } from '../ui/useContextMenu';
import { Attachments } from './Attachments';
import { DateSeparator } from './DateSeparator';
import { Embeds } from './Embeds';
import { LinkedMessages } from './LinkedMessages';
import styles from './Message.module.css';
import { MessageEditor } from './MessageEditor';
import { MessageText } from './MessageText';
import { MessageToolbar } from './MessageToolbar';
import { confirmDelete, listMessageEntries, type MessageHandlers } from './messageActions';
import { QuotedMessage } from './QuotedMessage';
import { Reactions } from './Reactions';
import { Receipts } from './Receipts';
import { RelayStatus } from './RelayStatus';
import { SystemIcon, SystemText, useSystemText } from './SystemText';

interface MessageRowProps {
  readonly message: Message;
  readonly rowKey: string;
  readonly isGroupStart: boolean;
  readonly isNewDay: boolean;
  readonly isFirstUnread: boolean;
  readonly isActive: boolean;
  readonly isHighlighted: boolean;
  /** The new text while the message is being edited. */
  readonly editText: string | null;
  readonly handlers: MessageHandlers;
  readonly onEditChange: (text: string) => void;
  readonly onActivate: (key: string) => void;
  readonly onLock: (key: string | null) => void;
  readonly onJump: (messageId: number) => void;
}

/** One message with its header, attachments, reactions and actions. */
export const MessageRow = memo(function MessageRow(props: MessageRowProps) {
  const { message, rowKey, isGroupStart, isNewDay, isFirstUnread, isActive, isHighlighted, editText, handlers } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const author = useChatState(({ users }) => users.get(message.sender_id ?? 0));
  const isMine = useChatState(({ me }) => me.id === message.sender_id);
  const mentionsMe = useChatState(
    ({ me, blockedUserIds }) =>
      !isMine &&
      !blockedUserIds.has(message.sender_id ?? 0) &&
      (message.mentions_everyone || message.mentions.includes(me.id)),
  );
  const name = message.sender_id === null ? t('members.deletedUser') : getAuthorName(message, author);
  const isDeleted = message.deleted_at !== null;
  const isFolded = useChatState((state) => isBlocked(state, message.sender_id)) && !isDeleted;
  const [isUnfolded, setUnfolded] = useState(false);
  const isHidden = isFolded && !isUnfolded;
  const isSystem = message.kind === 'system';
  const systemText = useSystemText(message);
  const summary = isDeleted
    ? t('message.deleted')
    : isHidden
      ? t('message.blocked')
      : (systemText ?? getMessagePreview(message));
  // A change that this version does not know.
  const isUnknown = isSystem && !isDeleted && !systemText;
  const menu = useContextMenu((anchor) => {
    if (isHidden || editText !== null) return;
    props.onLock(rowKey);
    const entries = listMessageEntries(chatStore, t, message, anchor, handlers);
    openPopup({ kind: 'menu', anchor, label: t('message.more'), entries, onClose: () => props.onLock(null) });
  });
  // A webhook chooses a name for each message and has no profile.
  const hasCard = author !== undefined && !message.author;
  const openCard = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    hasCard && openPopup({ kind: 'user', anchor, userId: author.id, chatId: message.chat_id });
  if (isUnknown) return null;
  return (
    <>
      {isNewDay && <DateSeparator at={message.created_at} />}
      {isFirstUnread && (
        <p className={styles.unreadMarker}>
          <span>{t('timeline.unreadMarker')}</span>
        </p>
      )}
      <article
        tabIndex={-1}
        className={styles.message}
        data-group-start={isGroupStart}
        data-mentions-me={mentionsMe}
        data-highlighted={isHighlighted}
        data-active={isActive}
        data-message={message.id}
        data-reply={message.reply_to !== null}
        data-system={isSystem}
        aria-label={[...(systemText ? [] : [name]), summary, formatFullTime(message.created_at)].join(', ')}
        onPointerEnter={() => props.onActivate(rowKey)}
        onFocus={() => props.onActivate(rowKey)}
        {...menu}
      >
        {message.reply_to !== null && (
          <QuotedMessage chatId={message.chat_id} messageId={message.reply_to} onJump={props.onJump} />
        )}
        <div className={styles.gutter}>
          {isSystem || isDeleted ? (
            <span className={styles.systemIcon}>
              {isDeleted ? <Icon name="trash" size={15} /> : <SystemIcon change={message.change} />}
            </span>
          ) : isGroupStart ? (
            <button type="button" tabIndex={-1} aria-hidden="true" disabled={!hasCard} onClick={openCard}>
              <Avatar user={getShownAuthor(message, author)} size={38} />
            </button>
          ) : (
            <>
              <time dateTime={message.created_at}>{formatCompactTime(message.created_at)}</time>
              {message.pinned && <PinMark />}
            </>
          )}
        </div>
        <div className={styles.body}>
          {isGroupStart && (
            <p className={styles.header}>
              <button type="button" className={styles.author} dir="auto" disabled={!hasCard} onClick={openCard}>
                {name}
              </button>
              <KindBadge user={author} />
              <time dateTime={message.created_at} title={formatFullTime(message.created_at)}>
                {formatTime(message.created_at)}
              </time>
              {message.pinned && <PinMark />}
            </p>
          )}
          {isDeleted ? (
            <p className={`${styles.system} ${styles.deleted}`} dir="auto">
              {t('message.deletedOf', { name })}
            </p>
          ) : isHidden ? (
            <p className={styles.deleted}>
              {t('message.blocked')}{' '}
              <button type="button" className={styles.edited} onClick={() => setUnfolded(true)}>
                {t('message.showBlocked')}
              </button>
            </p>
          ) : editText !== null ? (
            <MessageEditor
              message={message}
              text={editText}
              onTextChange={props.onEditChange}
              onDone={() => handlers.onEdit(null)}
              onEmpty={() => confirmDelete(chatStore, t, message)}
            />
          ) : isSystem ? (
            <>
              <SystemText message={message} onJump={props.onJump} />
              <Reactions message={message} />
            </>
          ) : (
            <>
              <MessageText message={message}>{isMine && <Receipts message={message} />}</MessageText>
              <LinkedMessages text={message.content} />
              <Embeds embeds={message.embeds ?? []} />
              <Attachments files={message.files} />
              <Reactions message={message} />
            </>
          )}
          <RelayStatus message={message} />
        </div>
        {isActive && !isDeleted && !isHidden && editText === null && (
          <MessageToolbar message={message} rowKey={rowKey} handlers={handlers} onLock={props.onLock} />
        )}
      </article>
    </>
  );
});

function PinMark() {
  const { t } = useTranslation();
  return (
    <span className={styles.pin} role="img" aria-label={t('message.pinned')}>
      <Icon name="pin" size={13} />
    </span>
  );
}
