import type { ChatSummary } from '@confab/sdk';
import type { ChatState } from '../store/chatState';
import { getLastActivityAt } from '../store/hooks';

/** The sections of the chat list. */
export type Section = 'channels' | 'directMessages';

const getSection = ({ type }: ChatSummary): Section =>
  type === 'private_channel' || type === 'public_channel' ? 'channels' : 'directMessages';

/** The chats of a section: channels by name, direct messages by last activity. */
export function getSectionChats(state: ChatState, section: Section): ChatSummary[] {
  const chats = [...state.chats.values()].filter((chat) => getSection(chat) === section);
  if (section === 'channels') return chats.sort((one, other) => one.name.localeCompare(other.name));
  return chats.sort((one, other) => getLastActivityAt(other).localeCompare(getLastActivityAt(one)));
}

/** All chats in the order of the list. */
export function getOrderedChats(state: ChatState): ChatSummary[] {
  return [...getSectionChats(state, 'channels'), ...getSectionChats(state, 'directMessages')];
}
