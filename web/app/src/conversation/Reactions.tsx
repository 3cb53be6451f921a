import type { Message } from '@confab/sdk';
import { type MouseEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatList } from '../locales/format';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Icon } from '../ui/Icon';
import { openPopup } from '../ui/popup';
import { withToast } from '../ui/toast';
import { useContextMenu } from '../ui/useContextMenu';
import { useUiStore } from '../uiStore';
import styles from './Reactions.module.css';

/** How many users the tooltip of a reaction names. */
const MAX_NAMED = 8;

/** The reactions to a message, with a toggle for each, and a button for another one. */
export function Reactions({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  if (message.reactions.length === 0) return null;
  const openPicker = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    openPopup({
      kind: 'emoji',
      anchor,
      onPick: (emoji) => void withToast(() => chatStore.toggleReaction(message, emoji)),
    });
  return (
    <ul className={styles.reactions} aria-label={t('reaction.all')}>
      {message.reactions.map(({ emoji }) => (
        <li key={emoji}>
          <ReactionChip message={message} emoji={emoji} />
        </li>
      ))}
      <li>
        <button
          type="button"
          className={`${styles.reaction} ${styles.add}`}
          aria-label={t('reaction.another')}
          data-tooltip={t('reaction.another')}
          aria-haspopup="dialog"
          onClick={openPicker}
        >
          <Icon name="addReaction" size={16} />
        </button>
      </li>
    </ul>
  );
}

function ReactionChip({ message, emoji }: { readonly message: Message; readonly emoji: string }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const { count, me } = message.reactions.find((one) => one.emoji === emoji) ?? { count: 0, me: false };
  const { names, load } = useReactingNames(message, emoji, count);
  const menu = useContextMenu(() => openModal({ kind: 'reactions', message, emoji }));
  return (
    <button
      type="button"
      className={styles.reaction}
      aria-pressed={me ?? false}
      aria-label={t('reaction.one', { emoji, count })}
      data-tooltip={names ? t('reaction.by', { names, emoji }) : ''}
      onPointerEnter={load}
      onFocus={load}
      onClick={() => withToast(() => chatStore.toggleReaction(message, emoji))}
      {...menu}
    >
      <span>{emoji}</span>
      {count}
    </button>
  );
}

/** The names of those who reacted with an emoji, loaded when they are needed. */
function useReactingNames(message: Message, emoji: string, count: number) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [loaded, setLoaded] = useState<{ readonly count: number; readonly ids: readonly number[] } | null>(null);
  const known = useChatState(({ users, me }) =>
    (loaded?.ids ?? []).map((id) => (id === me.id ? t('you') : getDisplayName(users.get(id)))),
  );
  const load = () => {
    if (loaded?.count === count) return;
    chatStore.client.api.messages.listReactingUsers(message.id, emoji, { limit: MAX_NAMED }).then(
      ({ items }) => {
        chatStore.users.add(items);
        setLoaded({ count, ids: items.map(({ id }) => id) });
      },
      () => {},
    );
  };
  // A change of the count makes the names old.
  if (loaded?.count !== count) return { names: null, load };
  const others = count - known.length;
  return { names: formatList(others > 0 ? [...known, t('receipt.others', { count: others })] : known), load };
}
