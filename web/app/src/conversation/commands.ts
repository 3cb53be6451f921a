import type { TFunction } from 'i18next';
import type { ChatStore } from '../store/chatStore';
import { showToast } from '../ui/toast';
import type { Suggestion } from './suggestions';

/** A command at the beginning of a message. */
interface Command {
  readonly name: 'me' | 'shrug' | 'nick' | 'topic' | 'invite';
  /** Runs the command; returns the text to send instead, if any. */
  readonly run: (chatStore: ChatStore, chatId: number, argument: string, t: TFunction) => Promise<string | undefined>;
  /** Whether the user may run it in a chat. */
  readonly isAvailable?: (chatStore: ChatStore, chatId: number) => boolean;
}

const has = (permission: 'edit_chat' | 'invite') => (chatStore: ChatStore, chatId: number) =>
  chatStore.state?.chats.get(chatId)?.permissions?.includes(permission) ?? false;

const COMMANDS: readonly Command[] = [
  { name: 'me', run: async (_, __, text) => (text ? `*${text}*` : undefined) },
  { name: 'shrug', run: async (_, __, text) => `${text} ¯\\\\\\_(ツ)\\_/¯`.trim() },
  {
    name: 'nick',
    run: async ({ client }, _, name, t) => {
      await client.api.me.update({ display_name: name });
      showToast(t('settings.saved'));
      return undefined;
    },
  },
  {
    name: 'topic',
    isAvailable: has('edit_chat'),
    run: async ({ client }, chatId, topic) => {
      await client.api.chats.update(chatId, { topic });
      return undefined;
    },
  },
  {
    name: 'invite',
    isAvailable: has('invite'),
    run: async ({ client }, chatId, text, t) => {
      const name = text.replace(/^@/, '').toLowerCase();
      const users = name === '' ? [] : await client.api.users.search(name, 20);
      const user = users.find(({ username }) => username.toLowerCase() === name);
      if (!user) throw new Error(t('commands.noUser', { name: text }));
      await client.api.members.add(chatId, { user_id: user.id });
      showToast(t('commands.invited', { name: user.display_name || user.username }));
      return undefined;
    },
  },
];

/** Parses a command; null if the text is none. */
export function parseCommand(text: string): { readonly command: Command; readonly argument: string } | null {
  const match = /^\/([a-z]+)(?:\s+([\s\S]*))?$/.exec(text.trim());
  const command = COMMANDS.find(({ name }) => name === match?.[1]);
  return command ? { command, argument: (match?.[2] ?? '').trim() } : null;
}

/** Suggests the commands that begin with a word. */
export function suggestCommands(chatStore: ChatStore, chatId: number, word: string, t: TFunction): Suggestion[] {
  return COMMANDS.filter(
    ({ name, isAvailable }) => name.startsWith(word) && (isAvailable?.(chatStore, chatId) ?? true),
  ).map(({ name }) => ({
    key: name,
    insert: `/${name} `,
    label: `/${name}`,
    hint: t(`commands.${name}`),
    userId: null,
  }));
}
