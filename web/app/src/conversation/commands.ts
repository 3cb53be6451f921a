import type { TFunction } from 'i18next';
import type { ChatStore } from '../store/chatStore';
import { showToast } from '../ui/toast';
import type { Suggestion } from './suggestions';

/** A command at the beginning of a message: it changes the text that is sent, or does something instead. */
interface Command {
  readonly name: 'me' | 'shrug' | 'nick' | 'topic' | 'invite';
  readonly transform?: (text: string) => string;
  readonly run?: (chatStore: ChatStore, chatId: number, argument: string, t: TFunction) => Promise<unknown>;
  /** Whether the user may run it in a chat. */
  readonly isAvailable?: (chatStore: ChatStore, chatId: number) => boolean;
}

const has = (permission: 'edit_chat' | 'invite') => (chatStore: ChatStore, chatId: number) =>
  chatStore.state?.chats.get(chatId)?.permissions?.includes(permission) ?? false;

const COMMANDS: readonly Command[] = [
  { name: 'me', transform: (text) => (text ? `*${text}*` : '') },
  { name: 'shrug', transform: (text) => `${text} ¯\\\\\\_(ツ)\\_/¯`.trim() },
  {
    name: 'nick',
    run: async ({ client }, _, name, t) => {
      await client.api.me.update({ display_name: name });
      showToast(t('settings.saved'));
    },
  },
  {
    name: 'topic',
    isAvailable: has('edit_chat'),
    run: ({ client }, chatId, topic) => client.api.chats.update(chatId, { topic }),
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
    },
  },
];

/** Parses a command; null if the text is none, or the user may not run it here, so that it is a text. */
export function parseCommand(
  chatStore: ChatStore,
  chatId: number,
  text: string,
): { readonly command: Command; readonly argument: string } | null {
  const match = /^\/([a-z]+)(?:\s+([\s\S]*))?$/.exec(text.trimEnd());
  const command = COMMANDS.find(({ name }) => name === match?.[1]);
  const isAvailable = command?.isAvailable?.(chatStore, chatId) ?? true;
  return command && isAvailable ? { command, argument: (match?.[2] ?? '').trim() } : null;
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
