import type { Message, Permission } from '@confab/sdk';
import { memo, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatCompactTime, formatDay, formatFullTime, formatTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { KindBadge } from '../members/KindBadge';
import { isBlocked } from '../store/chatState';
import {
  getAuthorName,
  getMessagePreview,
  getShownAuthor,
  useChatState,
  useChatStore,
  useHasPermission,
} from '../store/hooks';
import { IconButton } from '../ui/Button';
import { copyToClipboard } from '../ui/clipboard';
import { Icon } from '../ui/Icon';
import { Menu, MenuItem, MenuSeparator } from '../ui/Menu';
import { showToast, withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { Attachments } from './Attachments';
import { Embeds } from './Embeds';
import { EmojiButton } from './EmojiButton';
import { Markdown } from './Markdown';
import styles from './Message.module.css';
import { MessageEditor } from './MessageEditor';
import { Reactions } from './Reactions';
import { Receipts } from './Receipts';
import { RelayStatus } from './RelayStatus';

const QUICK_REACTIONS = ['👍', '❤️', '😂'] as const;

/** Length of the message excerpt in the delete dialog, in characters. */
const QUOTE_LENGTH = 120;

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
  readonly onEditChange: (text: string) => void;
  readonly onActivate: (key: string) => void;
  readonly onLock: (key: string | null) => void;
  readonly onReply: (message: Message) => void;
  readonly onEdit: (message: Message | null) => void;
  readonly onJump: (messageId: number) => void;
}

/** One message with its header, attachments, reactions and actions. */
export const MessageRow = memo(function MessageRow(props: MessageRowProps) {
  const { message, rowKey, isGroupStart, isNewDay, isFirstUnread, isActive, isHighlighted, editText } = props;
  const { t } = useTranslation();
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
  const confirmDelete = useConfirmDelete(message);
  const isHidden = isFolded && !isUnfolded;
  const summary = isDeleted ? t('message.deleted') : isHidden ? t('message.blocked') : getMessagePreview(message);
  return (
    <>
      {isNewDay && (
        <p className={styles.dateSeparator}>
          <span>{formatDay(message.created_at)}</span>
        </p>
      )}
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
        aria-label={`${name}, ${summary}, ${formatFullTime(message.created_at)}`}
        onPointerEnter={() => props.onActivate(rowKey)}
        onFocus={() => props.onActivate(rowKey)}
      >
        {message.reply_to !== null && <QuotedMessage message={message} onJump={props.onJump} />}
        <div className={styles.gutter}>
          {isGroupStart ? (
            <Avatar user={getShownAuthor(message, author)} size={38} />
          ) : (
            <time dateTime={message.created_at}>{formatCompactTime(message.created_at)}</time>
          )}
        </div>
        <div className={styles.body}>
          {isGroupStart && (
            <p className={styles.header}>
              <strong>{name}</strong>
              <KindBadge user={author} />
              <time dateTime={message.created_at} title={formatFullTime(message.created_at)}>
                {formatTime(message.created_at)}
              </time>
              {message.pinned && <Icon name="pin" size={13} />}
            </p>
          )}
          {isDeleted ? (
            <p className={styles.deleted}>{t('message.deleted')}</p>
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
              onDone={() => props.onEdit(null)}
              onEmpty={confirmDelete}
            />
          ) : (
            <>
              {message.content && <Markdown text={message.content} />}
              {message.edited_at && <EditedLabel message={message} />}
              <Embeds embeds={message.embeds ?? []} />
              <Attachments files={message.files} />
              <Reactions message={message} />
            </>
          )}
          {isMine && <Receipts message={message} />}
          <RelayStatus message={message} />
        </div>
        {isActive && !isDeleted && !isHidden && editText === null && <MessageActions {...props} isMine={isMine} />}
      </article>
    </>
  );
});

/** The "edited" label. It opens the edit history for users who may read it. */
function EditedLabel({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  const canViewRevisions = useIsAuthorOr('view_revisions', message);
  const labelProps = { className: styles.edited, title: formatFullTime(message.edited_at ?? '') };
  if (!canViewRevisions) return <small {...labelProps}>{t('message.edited')}</small>;
  return (
    <button type="button" {...labelProps} onClick={() => openModal({ kind: 'editHistory', messageId: message.id })}>
      {t('message.edited')}
    </button>
  );
}

/** Returns a function that deletes a message after confirmation. */
function useConfirmDelete(message: Message): () => void {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const lasting = useChatState(({ bridges }) =>
    bridges.get(message.chat_id)?.find(({ capabilities }) => !capabilities.deletes),
  );
  return () =>
    openModal({
      kind: 'confirm',
      chatId: message.chat_id,
      title: t('message.deleteTitle'),
      text: [
        t('message.deleteConfirm', { text: getMessagePreview(message).slice(0, QUOTE_LENGTH) }),
        lasting && t('bridges.staysThere', { network: t(`networks.${lasting.network}`) }),
      ]
        .filter(Boolean)
        .join(' '),
      confirmLabel: t('message.delete'),
      action: () => chatStore.client.api.messages.delete(message.id),
      getFocusTarget: () => document.querySelector<HTMLElement>(`[data-message="${message.id}"]`),
    });
}

/** Whether the current user wrote a message, or has a permission in its chat. */
function useIsAuthorOr(permission: Permission, { sender_id, chat_id }: Message): boolean {
  const isAuthor = useChatState(({ me }) => me.id === sender_id);
  return useHasPermission(chat_id, permission) || isAuthor;
}

/** The toolbar of a message, shown on hover. */
function MessageActions(props: MessageRowProps & { readonly isMine: boolean }) {
  const { message, rowKey, isMine, onLock } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const canDelete = useIsAuthorOr('delete_others_messages', message);
  const canPin = useHasPermission(message.chat_id, 'pin');
  const confirmDelete = useConfirmDelete(message);
  const lock = (isOpen: boolean) => onLock(isOpen ? rowKey : null);
  // A menu that unmounts with its row must release the lock.
  useEffect(() => () => onLock(null), [onLock]);
  const { api } = chatStore.client;
  return (
    <div className={styles.actions} role="toolbar" aria-label={t('message.actions')}>
      {QUICK_REACTIONS.map((emoji) => (
        <button
          key={emoji}
          type="button"
          className={styles.quickReaction}
          aria-label={t('reaction.add', { emoji })}
          onClick={() => withToast(() => chatStore.toggleReaction(message, emoji))}
        >
          {emoji}
        </button>
      ))}
      <EmojiButton
        trigger={<IconButton icon="emoji" label={t('reaction.pick')} size={18} />}
        onOpenChange={lock}
        onPick={(emoji) => withToast(() => chatStore.toggleReaction(message, emoji))}
      />
      <IconButton icon="reply" label={t('message.reply')} size={18} onClick={() => props.onReply(message)} />
      {isMine && <IconButton icon="edit" label={t('message.edit')} size={18} onClick={() => props.onEdit(message)} />}
      <Menu align="end" onOpenChange={lock} trigger={<IconButton icon="more" label={t('message.more')} size={18} />}>
        {canPin && (
          <MenuItem
            icon="pin"
            onClick={() =>
              withToast(() => (message.pinned ? api.messages.unpin(message.id) : api.messages.pin(message.id)))
            }
          >
            {message.pinned ? t('message.unpin') : t('message.pin')}
          </MenuItem>
        )}
        {message.content && (
          <MenuItem icon="copy" onClick={() => withToast(() => copyToClipboard(message.content))}>
            {t('message.copyText')}
          </MenuItem>
        )}
        <MenuItem
          icon="link"
          onClick={() =>
            withToast(async () => {
              await copyToClipboard(`${location.origin}/chats/${message.chat_id}/${message.id}`);
              showToast(t('message.linkCopied'));
            })
          }
        >
          {t('message.copyLink')}
        </MenuItem>
        {canDelete && (
          <>
            <MenuSeparator />
            <MenuItem icon="trash" isDangerous onClick={confirmDelete}>
              {t('message.delete')}
            </MenuItem>
          </>
        )}
      </Menu>
    </div>
  );
}

/** The quoted message above a reply. */
function QuotedMessage({
  message,
  onJump,
}: {
  readonly message: Message;
  readonly onJump: (messageId: number) => void;
}) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const id = message.reply_to ?? 0;
  const loaded = useChatState(
    ({ timelines }) => timelines.get(message.chat_id)?.messages.find((one) => one.id === id) ?? null,
  );
  const [fetched, setFetched] = useState<Message | null>(null);
  const quoted = loaded ?? fetched;
  const author = useChatState(({ users }) => users.get(quoted?.sender_id ?? 0));
  const isHidden = useChatState((state) => isBlocked(state, quoted?.sender_id ?? null));
  const isLoaded = loaded !== null;
  useEffect(() => {
    if (isLoaded) return;
    let isCancelled = false;
    chatStore.loadQuotedMessage(id).then(
      (result) => !isCancelled && setFetched(result),
      () => {},
    );
    return () => {
      isCancelled = true;
    };
  }, [isLoaded, id, chatStore]);
  return (
    <button type="button" className={styles.quote} onClick={() => onJump(id)} aria-label={t('message.jumpToOriginal')}>
      <Icon name="quote" size={14} />
      {quoted && (
        <>
          <Avatar user={getShownAuthor(quoted, author)} size={16} />
          <strong>{getAuthorName(quoted, author)}</strong>
          <KindBadge user={author} />
          <span>
            {quoted.deleted_at ? t('message.deleted') : isHidden ? t('message.blocked') : getMessagePreview(quoted)}
          </span>
        </>
      )}
    </button>
  );
}
