import type { ChatChange, Message } from '@confab/sdk';
import type { TFunction } from 'i18next';
import { Fragment, type MouseEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { getDisplayName, useChatState } from '../store/hooks';
import { Icon, type IconName } from '../ui/Icon';
import { openPopup } from '../ui/popup';
import styles from './Message.module.css';

const ICONS: Readonly<Record<ChatChange['type'], IconName>> = {
  joined: 'join',
  added: 'join',
  left: 'leave',
  removed: 'leave',
  renamed: 'edit',
  topic_changed: 'edit',
  pinned: 'pin',
};

/** The icon of a system message. */
export function SystemIcon({ change }: { readonly change: ChatChange | null | undefined }) {
  return <Icon name={(change && ICONS[change.type]) ?? 'info'} size={15} />;
}

/** What a system message tells: `name` did it, to `user` if there is one. */
export function describeChange(t: TFunction, change: ChatChange, name: string, user: string, message: string): string {
  switch (change.type) {
    case 'joined':
      return t('change.joined', { name });
    case 'left':
      return t('change.left', { name });
    case 'added':
      return t('change.added', { name, user });
    case 'removed':
      return t('change.removed', { name, user });
    case 'renamed':
      return change.name
        ? t('change.renamed', { name, value: withoutMarks(change.name) })
        : t('change.nameRemoved', { name });
    case 'topic_changed':
      return change.topic
        ? t('change.topic', { name, value: withoutMarks(change.topic) })
        : t('change.topicRemoved', { name });
    case 'pinned':
      return t('change.pinned', { name, message });
    // A newer server may know other changes.
    default:
      return '';
  }
}

/** Returns the text of a system message, for where nothing can be clicked; `null` for other messages. */
export function useSystemText(message: Message | null | undefined): string | null {
  const { t } = useTranslation();
  const change = message?.change;
  const name = useChatState(({ users }) => getName(t, users.get(message?.sender_id ?? 0), message?.sender_id ?? null));
  const userId = change ? getUserId(change) : null;
  const user = useChatState(({ users }) => getName(t, users.get(userId ?? 0), userId));
  return change ? describeChange(t, change, name, user, t('change.message')) : null;
}

/** Removes what stands for a part of the sentence. */
const withoutMarks = (text: string) => text.replace(/[\uE000-\uE002]/g, '');

const getUserId = (change: ChatChange) => ('user_id' in change ? change.user_id : null);

const getName = (t: TFunction, user: Parameters<typeof getDisplayName>[0], id: number | null) =>
  id === null ? t('members.deletedUser') : getDisplayName(user);

/** Stand for the parts of a sentence that can be clicked, wherever the language puts them. */
const [NAME, USER, MESSAGE] = ['\uE000', '\uE001', '\uE002'];

/** A system message: one sentence, whose names open the cards of the users. */
export function SystemText(props: { readonly message: Message; readonly onJump: (messageId: number) => void }) {
  const { message, onJump } = props;
  const { t } = useTranslation();
  const { change } = message;
  if (!change) return null;
  const parts = describeChange(t, change, NAME, USER, MESSAGE).split(/([\uE000-\uE002])/);
  return (
    <p className={styles.system} dir="auto">
      {parts.map((part, nth) => {
        if (part === NAME) return <UserName key={nth} chatId={message.chat_id} id={message.sender_id} />;
        if (part === USER) return <UserName key={nth} chatId={message.chat_id} id={getUserId(change)} />;
        if (part !== MESSAGE || change.type !== 'pinned') return <Fragment key={nth}>{part}</Fragment>;
        return (
          <button key={nth} type="button" className={styles.author} onClick={() => onJump(change.message_id)}>
            {t('change.message')}
          </button>
        );
      })}
    </p>
  );
}

function UserName({ chatId, id }: { readonly chatId: number; readonly id: number | null }) {
  const { t } = useTranslation();
  const user = useChatState(({ users }) => users.get(id ?? 0));
  const openCard = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    user && openPopup({ kind: 'user', anchor, userId: user.id, chatId });
  return (
    <button type="button" className={styles.author} dir="auto" disabled={!user} onClick={openCard}>
      {getName(t, user, id)}
    </button>
  );
}
