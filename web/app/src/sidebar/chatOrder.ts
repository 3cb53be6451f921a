import type { ChatSummary } from '@confab/sdk';
import { type ChatState, isChannel } from '../store/chatState';
import { getLastActivityAt } from '../store/hooks';
import { SECTIONS, type Section, useSidebar } from './sidebarStore';

/**
 * The chats of a section: favorites in the order of the user, channels by name, direct messages by last activity.
 * A direct chat that another user created is listed once it has a message.
 */
export function getSectionChats(state: ChatState, section: Section, openChatId: number | null): ChatSummary[] {
  const { favorites, isUnreadOnly } = useSidebar.getState();
  const isListed = (chat: ChatSummary) => {
    if (chat.id === openChatId) return true;
    if (isUnreadOnly && (chat.unread_count === 0 || chat.is_muted)) return false;
    return chat.type !== 'single' || chat.last_message !== null || chat.created_by === state.me.id;
  };
  const all = [...state.chats.values()].filter(isListed);
  if (section === 'favorites') return favorites.flatMap((id) => all.find((chat) => chat.id === id) ?? []);
  const chats = all.filter((chat) => isChannel(chat) === (section === 'channels') && !favorites.includes(chat.id));
  if (section === 'channels') return chats.sort((one, other) => one.name.localeCompare(other.name));
  return chats.sort((one, other) => getLastActivityAt(other).localeCompare(getLastActivityAt(one)));
}

/** All chats in the order of the list. */
export function getOrderedChats(state: ChatState, openChatId: number | null): ChatSummary[] {
  return SECTIONS.flatMap((section) => getSectionChats(state, section, openChatId));
}
