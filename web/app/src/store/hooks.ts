import type { ChatSummary, Message, Permission, User } from '@confab/sdk';
import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import { useShallow } from 'zustand/react/shallow';
import type { ChatState } from './chatState';
import type { ChatStore } from './chatStore';

/** Provides the chat store. */
export const ChatStoreContext = createContext<ChatStore | null>(null);

/** Returns the chat store. Throws outside of `ChatStoreContext`. */
export function useChatStore(): ChatStore {
  const chatStore = useContext(ChatStoreContext);
  if (!chatStore) throw new Error('useChatStore must be used inside ChatStoreContext');
  return chatStore;
}

/** Subscribes to a part of the state. */
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

/** Parses an id in a path; null if it is none. */
export function parseId(text: string | undefined): number | null {
  const id = /^\d+$/.test(text ?? '') ? Number(text) : 0;
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

/** Parses the chat id from a path. */
export function parseChatId(path: string): number | null {
  return parseId(/^\/chats\/(\d+)(?:\/|$)/.exec(path)?.[1]);
}

/** Returns a user's display name. */
export function getDisplayName(user: Pick<User, 'display_name' | 'username'> | undefined): string {
  return user ? user.display_name || user.username : '…';
}

/** Returns the name that a message shows: the one that a webhook chose, or that of the sender. */
export function getAuthorName(message: Pick<Message, 'author'> | null | undefined, sender: User | undefined): string {
  return message?.author?.name ?? getDisplayName(sender);
}

/** Returns the sender of a message as the message shows it: a webhook chooses a name and an image. */
export function getShownAuthor(
  message: Pick<Message, 'author'> | null | undefined,
  sender: User | undefined,
): User | undefined {
  const shown = message?.author;
  if (!sender || !shown) return sender;
  return { ...sender, display_name: shown.name, avatar_url: shown.avatar_url ?? sender.avatar_url };
}

/** Returns the id of the other user of a direct chat. */
export function getPeerId(state: ChatState, chat: ChatSummary): number | null {
  return chat.pair?.find((id) => id !== state.me.id) ?? null;
}

/** Returns a chat's title: the other user of a direct chat, or the members of an unnamed group. */
export function getChatTitle(state: ChatState, chat: ChatSummary): string {
  const peer = getPeerId(state, chat);
  if (peer !== null) return getDisplayName(state.users.get(peer));
  if (chat.name) return chat.name;
  const others = state.members.get(chat.id)?.filter(({ id }) => id !== state.me.id);
  return others?.slice(0, 3).map(getDisplayName).join(', ') || '…';
}

/** Returns the time of a chat's last activity. */
export function getLastActivityAt(chat: ChatSummary): string {
  return chat.last_message?.created_at ?? chat.created_at;
}

/** Returns a message as one line. */
export function getMessagePreview(message: Message): string {
  const text = message.content
    .replace(/^```\w*$/gm, '')
    .replace(/^>\s?/gm, '')
    // What is hidden there is hidden here too.
    .replace(/\|\|(?=\S)(?:[^|]|\|(?!\|))+?\|\|/g, '▒▒▒')
    .replace(/\*\*|~~|`{1,3}/g, '')
    .replace(/\s+/g, ' ');
  if (text.trim()) return text.trim();
  const embeds = (message.embeds ?? []).map(({ title, description }) => title ?? description ?? '').filter(Boolean);
  return [...embeds, ...message.files.map(({ filename }) => filename)].join(', ');
}
