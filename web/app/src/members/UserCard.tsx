import { Popover } from '@base-ui/react/popover';
import type { Chat } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatRelativeTime, formatTimeIn } from '../locales/time';
import { hasDirectChats, isBlocked } from '../store/chatState';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button } from '../ui/Button';
import { ChatIcon } from '../ui/ChatIcon';
import menuStyles from '../ui/Menu.module.css';
import { type Anchor, closePopup } from '../ui/popup';
import { createCloseHandler, getAnchor } from '../ui/popupAnchor';
import { Avatar } from './Avatar';
import { CustomStatusText } from './CustomStatus';
import { KindBadge } from './KindBadge';
import { listMemberEntries, openDirectChat } from './memberActions';
import styles from './UserCard.module.css';

/** Maximum number of shared chats that are shown. */
const MAX_SHARED = 5;

/** The profile of a user, and what one can do with them, in the chat where the card was opened. */
export function UserCard(props: { readonly anchor: Anchor; readonly userId: number; readonly chatId: number | null }) {
  const { anchor, userId, chatId } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const user = useChatState(({ users }) => users.get(userId));
  const presence = useChatState(({ presences }) => presences.get(userId));
  const member = useChatState(({ members }) => members.get(chatId ?? 0)?.find(({ id }) => id === userId));
  const isMe = useChatState(({ me }) => me.id === userId);
  const isBlockedByMe = useChatState((state) => isBlocked(state, userId));
  const shared = useSharedChats(userId, isMe);
  if (!user) return null;
  const name = getDisplayName(user);
  const status = presence?.status ?? 'offline';
  const localTime = user.time_zone ? formatTimeIn(user.time_zone) : null;
  const entries = listMemberEntries(chatStore, t, user, chatId).flatMap((entry) => entry ?? []);
  return (
    <Popover.Root open onOpenChange={createCloseHandler(anchor)}>
      <Popover.Portal>
        <Popover.Positioner
          className={menuStyles.positioner}
          anchor={getAnchor(anchor)}
          side="right"
          align="start"
          sideOffset={8}
          collisionPadding={8}
        >
          <Popover.Popup className={`${menuStyles.popup} ${styles.card}`} aria-label={t('profile.of', { name })}>
            <header className={styles.header}>
              <Avatar user={user} size={64} status={user.kind === 'person' ? status : undefined} />
              <div>
                <p className={styles.name} dir="auto">
                  {name}
                </p>
                <p className={styles.detail}>
                  @{user.username} <KindBadge user={user} />
                </p>
              </div>
            </header>
            {user.deleted_at !== null && <p className={styles.detail}>{t('members.deletedUser')}</p>}
            {user.kind === 'person' && (
              <p className={styles.detail}>
                {status === 'offline' && presence?.last_seen
                  ? t('presence.lastSeen', { ago: formatRelativeTime(presence.last_seen) })
                  : t(`presence.${status}`)}
                {member && member.role !== 'member' && <Badge>{t(`role.${member.role}`)}</Badge>}
              </p>
            )}
            <CustomStatusText user={user} />
            {localTime && <p className={styles.detail}>{t('profile.localTime', { time: localTime })}</p>}
            {user.bio && (
              <p className={styles.bio} dir="auto">
                {user.bio}
              </p>
            )}
            <div className={styles.actions}>
              {!isMe && !isBlockedByMe && hasDirectChats(user) && user.deleted_at === null && (
                <Button variant="primary" onClick={() => openDirectChat(chatStore, userId, navigate)}>
                  {t('members.message')}
                </Button>
              )}
              {entries.map(({ key, label, isDangerous, run }) => (
                <Button
                  key={key}
                  variant={isDangerous ? 'dangerText' : 'secondary'}
                  onClick={() => {
                    closePopup();
                    run();
                  }}
                >
                  {label}
                </Button>
              ))}
            </div>
            {/* Last, because it arrives later: nothing moves under the pointer. */}
            {shared.length > 0 && (
              <section>
                <h3 className={styles.heading}>{t('profile.sharedChats', { count: shared.length })}</h3>
                <ul>
                  {shared.slice(0, MAX_SHARED).map((chat) => (
                    <li key={chat.id}>
                      <button
                        type="button"
                        className={styles.shared}
                        onClick={() => {
                          closePopup();
                          navigate(`/chats/${chat.id}`);
                        }}
                      >
                        <ChatIcon type={chat.type} size={15} />
                        <span dir="auto">{chat.name || t('chats.unnamedGroup')}</span>
                      </button>
                    </li>
                  ))}
                </ul>
              </section>
            )}
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

/** The groups and channels that the user shares with another one. */
function useSharedChats(userId: number, isMe: boolean): readonly Chat[] {
  const chatStore = useChatStore();
  const [shared, setShared] = useState<readonly Chat[]>([]);
  useEffect(() => {
    if (isMe) return;
    let isCancelled = false;
    chatStore.client.api.users.listSharedChats(userId).then(
      (chats) => !isCancelled && setShared(chats.filter(({ type }) => type !== 'single')),
      // The card is complete without them.
      () => {},
    );
    return () => {
      isCancelled = true;
    };
  }, [chatStore, userId, isMe]);
  return shared;
}
