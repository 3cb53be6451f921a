import type { ChatSummary, Message, Permission, User } from '@confab/sdk';
import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import { useShallow } from 'zustand/react/shallow';
import type { ChatState } from './chatState';
import type { ChatStore } from './chatStore';

/** The house that a screen belongs to. */
export const ChatStoreContext = createContext<ChatStore | null>(null);

/** The house; only inside it. */
export function useChatStore(): ChatStore {
  const chatStore = useContext(ChatStoreContext);
  if (!chatStore) throw new Error('useChatStore must be used inside ChatStoreContext');
  return chatStore;
}

/** A part of the world, followed as it changes. */
export function useChatState<Selected>(selector: (state: ChatState) => Selected): Selected {
  return useStore(
    useChatStore().store,
    useShallow(({ state }) => {
      if (!state) throw new Error('the chat state is not loaded yet');
      return selector(state);
    }),
  );
}

/** Whether the server grants the current user a permission in a chat. */
export function useHasPermission(chatId: number, permission: Permission): boolean {
  return useChatState(({ chats }) => chats.get(chatId)?.permissions?.includes(permission) ?? false);
}

/** The chat that an address of the page is about. */
export function parseChatId(path: string): number | null {
  const id = /^\/chats\/(\d+)(?:\/|$)/.exec(path)?.[1];
  return id === undefined ? null : Number(id);
}

/** How a person is called. */
export function getDisplayName(user: Pick<User, 'display_name' | 'username'> | undefined): string {
  return user ? user.display_name || user.username : '…';
}

/** The other one of a direct chat. */
export function getPeerId(state: ChatState, chat: ChatSummary): number | null {
  return chat.pair?.find((id) => id !== state.me.id) ?? null;
}

/** How a chat is called: a direct one after the other person, a group without a name after its people. */
export function getChatTitle(state: ChatState, chat: ChatSummary): string {
  const peer = getPeerId(state, chat);
  if (peer !== null) return getDisplayName(state.users.get(peer));
  if (chat.name) return chat.name;
  const others = state.members.get(chat.id)?.filter(({ id }) => id !== state.me.id);
  return others?.slice(0, 3).map(getDisplayName).join(', ') || '…';
}

/** When anything last happened in a chat. */
export function getLastActivityAt(chat: ChatSummary): string {
  return chat.last_message?.created_at ?? chat.created_at;
}

/** What a message says in one line. */
export function getMessagePreview(message: Message): string {
  const text = message.content
    .replace(/^```\w*$/gm, '')
    .replace(/^>\s?/gm, '')
    .replace(/\*\*|~~|`{1,3}/g, '')
    .replace(/\s+/g, ' ');
  return text.trim() || message.files.map(({ filename }) => filename).join(', ');
}
