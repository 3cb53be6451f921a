import type { Member } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { SidePanel } from '../SidePanel';
import { getDisplayName, useChatState, useChatStore, useHasPermission } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button } from '../ui/Button';
import { openPopup } from '../ui/popup';
import { useContextMenu } from '../ui/useContextMenu';
import { useUiStore } from '../uiStore';
import { Avatar } from './Avatar';
import { CustomStatusEmoji } from './CustomStatus';
import { KindBadge } from './KindBadge';
import styles from './Members.module.css';
import { listMemberEntries } from './memberActions';

/** Delay before a failed request for the members is retried, in milliseconds. */
const RETRY_DELAY_MS = 3_000;

const NO_MEMBERS: readonly Member[] = [];

/** The members of a chat, grouped by presence. */
export function Members({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const members = useChatState(({ members }) => members.get(chatId)) ?? null;
  const onlineIds = useChatState(({ presences }) =>
    (members ?? NO_MEMBERS)
      .filter(({ id }) => (presences.get(id)?.status ?? 'offline') !== 'offline')
      .map(({ id }) => id),
  );
  const isLoaded = members !== null;
  const isLive = useChatState(({ connection }) => connection.to === 'live');
  const [failures, setFailures] = useState(0);
  useEffect(() => {
    if (isLoaded) return;
    let timer: ReturnType<typeof setTimeout>;
    chatStore.loadMembers(chatId).catch(() => {
      timer = setTimeout(() => setFailures((now) => now + 1), RETRY_DELAY_MS);
    });
    return () => clearTimeout(timer);
  }, [chatStore, chatId, isLoaded, isLive, failures]);

  const byName = [...(members ?? NO_MEMBERS)].sort((one, other) =>
    getDisplayName(one).localeCompare(getDisplayName(other)),
  );
  const groups = [
    { key: 'online', title: t('members.online'), list: byName.filter(({ id }) => onlineIds.includes(id)) },
    { key: 'offline', title: t('members.offline'), list: byName.filter(({ id }) => !onlineIds.includes(id)) },
  ];
  const canAdd = useHasPermission(chatId, 'invite');
  const remaining = (chat?.member_count ?? 0) - byName.length;
  return (
    <SidePanel title={t('members.title')} label={t('members.title')}>
      {canAdd && (
        <Button className={styles.add ?? ''} onClick={() => openModal({ kind: 'addMembers', chatId })}>
          {t('members.add')}
        </Button>
      )}
      {!isLoaded && (
        <p className={styles.more} aria-busy="true">
          {t('loading')}
        </p>
      )}
      {/* One list, so that a member whose presence changes keeps their row and its open card. */}
      <ul>
        {groups.flatMap(({ key, title, list }) =>
          list.length === 0
            ? []
            : [
                <li key={key}>
                  <h3 className={styles.heading}>
                    {title} {list.length}
                  </h3>
                </li>,
                ...list.map((member) => <MemberItem key={member.id} member={member} chatId={chatId} />),
              ],
        )}
      </ul>
      {isLoaded && remaining > 0 && <p className={styles.more}>{t('members.more', { count: remaining })}</p>}
    </SidePanel>
  );
}

function MemberItem({ member, chatId }: { readonly member: Member; readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const user = useChatState(({ users }) => users.get(member.id)) ?? member;
  const status = useChatState(({ presences }) => presences.get(member.id)?.status ?? 'offline');
  const menu = useContextMenu((anchor) => {
    const entries = listMemberEntries(chatStore, t, user, chatId);
    if (entries.length > 0) openPopup({ kind: 'menu', anchor, label: getDisplayName(user), entries });
  });
  return (
    <li>
      <button
        type="button"
        className={styles.member}
        data-offline={status === 'offline'}
        aria-haspopup="dialog"
        onClick={({ currentTarget: anchor }) => openPopup({ kind: 'user', anchor, userId: member.id, chatId })}
        {...menu}
      >
        <Avatar user={user} size={32} status={status} />
        <span dir="auto">{getDisplayName(user)}</span>
        <CustomStatusEmoji user={user} />
        <KindBadge user={user} />
        {member.role !== 'member' && <Badge>{t(`role.${member.role}`)}</Badge>}
      </button>
    </li>
  );
}
