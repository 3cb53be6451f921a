import type { ChatSummary, User } from '@confab/sdk';
import { getChatTitle, getLastActivityAt, getPeerId, useChatState } from '../store/hooks';

/** Maximum number of chats that are listed. */
const MAX_CHATS = 8;

export interface MatchingChat {
  readonly chat: ChatSummary;
  readonly title: string;
  /** The other member of a direct chat. */
  readonly peer: User | undefined;
}

/** The user's chats whose title contains a text in lower case, the most recently active first. */
export function useMatchingChats(text: string): readonly MatchingChat[] {
  const chats = useChatState((state) =>
    [...state.chats.values()].sort((one, other) => getLastActivityAt(other).localeCompare(getLastActivityAt(one))),
  );
  const titles = useChatState((state) => chats.map((chat) => getChatTitle(state, chat)));
  const peers = useChatState((state) => chats.map((chat) => state.users.get(getPeerId(state, chat) ?? 0)));
  const startsWith = ({ title, peer }: MatchingChat) =>
    title.toLowerCase().startsWith(text) || (peer?.username.toLowerCase().startsWith(text) ?? false);
  return chats
    .map((chat, nth) => ({ chat, title: titles[nth] ?? '', peer: peers[nth] }))
    .filter((one) => one.title.toLowerCase().includes(text) || startsWith(one))
    .sort((one, other) => Number(startsWith(other)) - Number(startsWith(one)))
    .slice(0, MAX_CHATS);
}
