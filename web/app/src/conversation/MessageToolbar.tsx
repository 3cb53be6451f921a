import type { Message } from '@confab/sdk';
import { type MouseEvent, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatState, useChatStore } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { closePopup, openPopup, usePopup } from '../ui/popup';
import { withToast } from '../ui/toast';
import styles from './Message.module.css';
import { listMessageEntries, type MessageHandlers } from './messageActions';

const QUICK_REACTIONS = ['👍', '❤️', '😂'] as const;

/** The toolbar of a message, shown on hover. */
export function MessageToolbar(props: {
  readonly message: Message;
  readonly rowKey: string;
  readonly handlers: MessageHandlers;
  readonly onLock: (key: string | null) => void;
}) {
  const { message, rowKey, handlers, onLock } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const isMine = useChatState(({ me }) => me.id === message.sender_id);
  // A popup that unmounts with its row must release the lock.
  useEffect(
    () => () => {
      onLock(null);
      const anchor = usePopup.getState().popup?.anchor;
      if (anchor instanceof Element && !anchor.isConnected) closePopup();
    },
    [onLock],
  );
  const lockWhileOpen = () => {
    onLock(rowKey);
    return { onClose: () => onLock(null) };
  };
  const react = (emoji: string) => void withToast(() => chatStore.toggleReaction(message, emoji));
  const openEmoji = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    openPopup({ kind: 'emoji', anchor, onPick: react, ...lockWhileOpen() });
  const openMenu = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    openPopup({
      kind: 'menu',
      anchor,
      label: t('message.more'),
      entries: listMessageEntries(chatStore, t, message, anchor, handlers),
      ...lockWhileOpen(),
    });
  return (
    <div className={styles.actionsTrack}>
      <div className={styles.actions} role="toolbar" aria-label={t('message.actions')}>
        {QUICK_REACTIONS.map((emoji) => (
          <button
            key={emoji}
            type="button"
            className={styles.quickReaction}
            aria-label={t('reaction.add', { emoji })}
            onClick={() => react(emoji)}
          >
            {emoji}
          </button>
        ))}
        <IconButton icon="emoji" label={t('reaction.pick')} size={18} aria-haspopup="dialog" onClick={openEmoji} />
        <IconButton icon="reply" label={t('message.reply')} size={18} onClick={() => handlers.onReply(message)} />
        {isMine && message.kind !== 'system' && (
          <IconButton icon="edit" label={t('message.edit')} size={18} onClick={() => handlers.onEdit(message)} />
        )}
        <IconButton icon="more" label={t('message.more')} size={18} aria-haspopup="menu" onClick={openMenu} />
      </div>
    </div>
  );
}
