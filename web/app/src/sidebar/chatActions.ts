import type { ChatSummary } from '@confab/sdk';
import type { TFunction } from 'i18next';
import type { ChatStore } from '../store/chatStore';
import { getChatTitle } from '../store/hooks';
import { copyToClipboard } from '../ui/clipboard';
import type { MenuEntry } from '../ui/popup';
import { showToast, withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { toggleFavorite, useSidebar } from './sidebarStore';

/** Marks all messages of a chat as read. */
function markChatRead({ receipts }: ChatStore, { id, last_message }: ChatSummary): void {
  receipts.resumeAutoRead(id);
  if (last_message) receipts.markRead(id, last_message.id);
}

/** Marks all messages of all chats as read. */
export function markAllRead(chatStore: ChatStore): void {
  for (const chat of chatStore.state?.chats.values() ?? []) if (chat.unread_count > 0) markChatRead(chatStore, chat);
}

/** Lists what the user can do with a chat, for its menu. */
export function listChatEntries(chatStore: ChatStore, t: TFunction, chat: ChatSummary): MenuEntry[] {
  const { state, client } = chatStore;
  if (!state) return [];
  const { openModal } = useUiStore.getState();
  const { chats } = client.api;
  const isFavorite = useSidebar.getState().favorites.includes(chat.id);
  const entries: MenuEntry[] = [];
  if (chat.unread_count > 0)
    entries.push({ key: 'read', icon: 'check', label: t('chats.markRead'), run: () => markChatRead(chatStore, chat) });
  entries.push(
    {
      key: 'favorite',
      icon: 'star',
      label: isFavorite ? t('chats.removeFavorite') : t('chats.addFavorite'),
      run: () => toggleFavorite(chat.id),
    },
    {
      key: 'mute',
      icon: chat.is_muted ? 'bell' : 'mute',
      label: chat.is_muted ? t('chats.unmute') : t('chats.mute'),
      run: () => withToast(() => (chat.is_muted ? chats.unmute(chat.id) : chats.mute(chat.id))),
    },
    {
      key: 'link',
      icon: 'link',
      label: t('message.copyLink'),
      run: () =>
        withToast(async () => {
          await copyToClipboard(`${location.origin}/chats/${chat.id}`);
          showToast(t('message.linkCopied'));
        }),
    },
    {
      key: 'settings',
      icon: 'info',
      label: t('chats.settings'),
      run: () => openModal({ kind: 'chatSettings', chatId: chat.id }),
    },
  );
  const mustTransferOwnership = chat.role === 'owner' && chat.member_count > 1;
  if (chat.permissions?.includes('leave') && !mustTransferOwnership) {
    entries.push(null, {
      key: 'leave',
      icon: 'leave',
      label: t('chats.leave'),
      isDangerous: true,
      run: () =>
        openModal({
          kind: 'confirm',
          chatId: chat.id,
          title: t('chats.leave'),
          text: t('chats.leaveConfirm', { name: getChatTitle(state, chat) }),
          confirmLabel: t('chats.leave'),
          action: () => chats.leave(chat.id),
        }),
    });
  }
  return entries;
}
