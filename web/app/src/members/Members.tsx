import type { Member, Role } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { SidePanel } from '../SidePanel';
import { hasDirectChats, isBlocked } from '../store/chatState';
import { getDisplayName, useChatState, useChatStore, useHasPermission } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button } from '../ui/Button';
import { Menu, MenuItem, MenuSeparator } from '../ui/Menu';
import { showToast, withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { Avatar } from './Avatar';
import { KindBadge } from './KindBadge';
import styles from './Members.module.css';

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
      {/* One list, so that a member whose presence changes keeps their row and its open menu. */}
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
                ...list.map((member) => (
                  <MemberItem key={member.id} member={member} chatId={chatId} myRole={chat?.role ?? 'member'} />
                )),
              ],
        )}
      </ul>
      {isLoaded && remaining > 0 && <p className={styles.more}>{t('members.more', { count: remaining })}</p>}
    </SidePanel>
  );
}

/** The rank of each role. A member can be removed only by a higher role. */
const ROLE_RANK = { member: 0, admin: 1, owner: 2 };

function MemberItem(props: { readonly member: Member; readonly chatId: number; readonly myRole: Role }) {
  const { member, chatId, myRole } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { api } = chatStore.client;
  const [, navigate] = useLocation();
  const openModal = useUiStore((ui) => ui.openModal);
  const me = useChatState((state) => state.me.id);
  const user = useChatState(({ users }) => users.get(member.id)) ?? member;
  const status = useChatState(({ presences }) => presences.get(member.id)?.status ?? 'offline');
  const isMe = member.id === me;
  const isBlockedByMe = useChatState((state) => isBlocked(state, member.id));
  const outranks = !isMe && ROLE_RANK[myRole] > ROLE_RANK[member.role];
  const canRemove = useHasPermission(chatId, 'remove_members') && outranks;
  const canSetRole = useHasPermission(chatId, 'set_roles') && outranks && hasDirectChats(user);

  const openDirectChat = () =>
    withToast(async () => {
      const chat = await api.chats.create({ type: 'single', user_id: member.id });
      await chatStore.ensureChat(chat.id);
      navigate(`/chats/${chat.id}`);
    });

  const confirmAction = (actionName: 'transfer' | 'remove' | 'ban', action: () => Promise<unknown>) =>
    openModal({
      kind: 'confirm',
      chatId,
      title: t(`members.${actionName}`),
      text: t(`members.${actionName}Confirm`, { name: getDisplayName(user) }),
      confirmLabel: t(`members.${actionName}`),
      action,
    });

  return (
    <li>
      <Menu
        align="end"
        trigger={
          <button type="button" className={styles.member} data-offline={status === 'offline'}>
            <Avatar user={user} size={32} status={status} />
            <span>{getDisplayName(user)}</span>
            <KindBadge user={user} />
            {member.role !== 'member' && <Badge>{t(`role.${member.role}`)}</Badge>}
          </button>
        }
      >
        <p className={styles.card}>
          <strong>{getDisplayName(user)}</strong>
          <small>@{user.username}</small>
          {user.bio && <span>{user.bio}</span>}
        </p>
        {!isMe && hasDirectChats(user) && (
          <MenuItem icon="person" onClick={openDirectChat}>
            {t('members.message')}
          </MenuItem>
        )}
        {canSetRole && (
          <MenuItem
            icon="check"
            onClick={() =>
              withToast(() => api.members.setRole(chatId, member.id, member.role === 'admin' ? 'member' : 'admin'))
            }
          >
            {member.role === 'admin' ? t('role.demote') : t('role.promote')}
          </MenuItem>
        )}
        {canSetRole && user.kind === 'person' && (
          <MenuItem
            icon="people"
            onClick={() => confirmAction('transfer', () => api.members.transferOwnership(chatId, member.id))}
          >
            {t('members.transfer')}
          </MenuItem>
        )}
        {canRemove && <MenuSeparator />}
        {canRemove && (
          <MenuItem
            icon="leave"
            isDangerous
            onClick={() => confirmAction('remove', () => api.members.remove(chatId, member.id))}
          >
            {t('members.remove')}
          </MenuItem>
        )}
        {canRemove && (
          <MenuItem
            icon="warn"
            isDangerous
            onClick={() => confirmAction('ban', () => api.members.ban(chatId, member.id))}
          >
            {t('members.ban')}
          </MenuItem>
        )}
        {!isMe && (
          <MenuItem
            icon="mute"
            isDangerous={!isBlockedByMe}
            onClick={() =>
              withToast(async () => {
                await (isBlockedByMe ? api.users.unblock(member.id) : api.users.block(member.id));
                const name = getDisplayName(user);
                showToast(isBlockedByMe ? t('members.unblocked', { name }) : t('members.blocked', { name }));
              })
            }
          >
            {isBlockedByMe ? t('settings.unblock') : t('members.block')}
          </MenuItem>
        )}
      </Menu>
    </li>
  );
}
