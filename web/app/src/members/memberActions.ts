import type { Role, User } from '@confab/sdk';
import type { TFunction } from 'i18next';
import { hasDirectChats, isBlocked } from '../store/chatState';
import type { ChatStore } from '../store/chatStore';
import { getDisplayName } from '../store/hooks';
import { closePopup, type MenuEntry } from '../ui/popup';
import { showToast, withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';

/** The rank of each role. A member can be removed only by a higher role. */
const ROLE_RANK: Readonly<Record<Role, number>> = { member: 0, admin: 1, owner: 2 };

/** Opens the direct chat with a user; it is created if there is none. */
export function openDirectChat(chatStore: ChatStore, userId: number, navigate: (path: string) => void): Promise<void> {
  return withToast(async () => {
    const chat = await chatStore.client.api.chats.create({ type: 'single', user_id: userId });
    await chatStore.ensureChat(chat.id);
    closePopup();
    navigate(`/chats/${chat.id}`);
  });
}

/** Lists what the user can do with another one, as a member of a chat or in general. */
export function listMemberEntries(chatStore: ChatStore, t: TFunction, user: User, chatId: number | null): MenuEntry[] {
  const { state, client } = chatStore;
  const { members, users } = client.api;
  if (!state || user.id === state.me.id) return [];
  const chat = state.chats.get(chatId ?? 0);
  const member = state.members.get(chatId ?? 0)?.find(({ id }) => id === user.id);
  const name = getDisplayName(user);
  const entries: MenuEntry[] = [];
  if (chat && member && ROLE_RANK[chat.role ?? 'member'] > ROLE_RANK[member.role]) {
    const confirmAction = (action: 'transfer' | 'remove' | 'ban', request: () => Promise<unknown>) =>
      useUiStore.getState().openModal({
        kind: 'confirm',
        chatId: chat.id,
        title: t(`members.${action}`),
        text: t(`members.${action}Confirm`, { name }),
        confirmLabel: t(`members.${action}`),
        action: request,
      });
    if (chat.permissions?.includes('set_roles') && hasDirectChats(user)) {
      const isAdmin = member.role === 'admin';
      entries.push({
        key: 'role',
        icon: 'check',
        label: isAdmin ? t('role.demote') : t('role.promote'),
        run: () => withToast(() => members.setRole(chat.id, user.id, isAdmin ? 'member' : 'admin')),
      });
      if (user.kind === 'person') {
        entries.push({
          key: 'transfer',
          icon: 'people',
          label: t('members.transfer'),
          run: () => confirmAction('transfer', () => members.transferOwnership(chat.id, user.id)),
        });
      }
    }
    if (chat.permissions?.includes('remove_members')) {
      entries.push(null, {
        key: 'remove',
        icon: 'leave',
        label: t('members.remove'),
        isDangerous: true,
        run: () => confirmAction('remove', () => members.remove(chat.id, user.id)),
      });
      entries.push({
        key: 'ban',
        icon: 'warn',
        label: t('members.ban'),
        isDangerous: true,
        run: () => confirmAction('ban', () => members.ban(chat.id, user.id)),
      });
    }
  }
  if (user.deleted_at !== null) return entries;
  const isBlockedByMe = isBlocked(state, user.id);
  entries.push({
    key: 'block',
    icon: 'mute',
    label: isBlockedByMe ? t('settings.unblock') : t('members.block'),
    isDangerous: !isBlockedByMe,
    run: () =>
      withToast(async () => {
        await (isBlockedByMe ? users.unblock(user.id) : users.block(user.id));
        showToast(isBlockedByMe ? t('members.unblocked', { name }) : t('members.blocked', { name }));
      }),
  });
  return entries;
}
