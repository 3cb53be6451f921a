import type { ChatSummary } from '@confab/sdk';
import { type ChatState, isChannel } from '../store/chatState';
import { getDisplayName } from '../store/hooks';
import { isChannelName } from './channelLinks';
import { loadEmoji, searchEmoji } from './emoji';

/** A completion of the word at the caret. */
export interface Suggestion {
  readonly key: string;
  /** The text that is inserted. */
  readonly insert: string;
  readonly label: string;
  readonly hint: string;
  readonly userId: number | null;
}

/** The word at the caret and its start. */
export interface SuggestionQuery {
  readonly kind: 'user' | 'emoji' | 'channel' | 'command';
  readonly word: string;
  readonly start: number;
}

/** Maximum number of suggestions. */
const MAX_SUGGESTIONS = 8;

const KINDS = { '@': 'user', ':': 'emoji', '#': 'channel' } as const;

/** Parses what is to be completed at the caret, if anything. */
export function parseSuggestionQuery(text: string, caret: number): SuggestionQuery | null {
  const before = text.slice(0, caret);
  const command = /^\/([a-z]*)$/.exec(before);
  if (command) return { kind: 'command', word: command[1] ?? '', start: 0 };
  const match = /(?:^|\s)([@:#])([\p{L}\p{N}_.+-]*)$/u.exec(before);
  if (!match) return null;
  const [, trigger = '@', word = ''] = match;
  if (trigger === ':' && word.length < 2) return null;
  return { kind: KINDS[trigger as keyof typeof KINDS], word: word.toLowerCase(), start: caret - word.length - 1 };
}

/** Suggests the channels of the user whose name contains a word. */
export function suggestChannels({ chats }: ChatState, word: string): Suggestion[] {
  const channels = [...chats.values()].filter((chat) => isChannel(chat) && chat.name.toLowerCase().includes(word));
  const getRank = ({ name }: ChatSummary) => Number(!name.toLowerCase().startsWith(word));
  return channels
    .sort((one, other) => getRank(one) - getRank(other) || one.name.localeCompare(other.name))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ id, name, topic }) => ({
      key: `channel-${id}`,
      insert: isChannelName(name) ? `#${name} ` : `[#${name}](${location.origin}/chats/${id}) `,
      label: `#${name}`,
      hint: topic,
      userId: null,
    }));
}

/** Suggests known users whose name begins with a word, members of the chat first. */
export function suggestUsers(state: ChatState, chatId: number, word: string): Suggestion[] {
  const members = new Set(state.members.get(chatId)?.map(({ id }) => id));
  const matchesWord = (name: string) => name.toLowerCase().startsWith(word);
  const everyone = { id: 0, username: 'everyone', display_name: '', deleted_at: null, kind: 'person' };
  return [...state.users.values(), everyone]
    .filter(
      (user) => user.id !== state.me.id && user.deleted_at === null && user.kind !== 'webhook' && user.kind !== 'ghost',
    )
    .filter((user) => matchesWord(user.username) || user.display_name.split(' ').some(matchesWord))
    .sort(
      (one, other) =>
        Number(members.has(other.id)) - Number(members.has(one.id)) || one.username.localeCompare(other.username),
    )
    .slice(0, MAX_SUGGESTIONS)
    .map((user) => ({
      key: user.username,
      insert: `@${user.username} `,
      label: getDisplayName(user),
      hint: `@${user.username}`,
      userId: user.id || null,
    }));
}

/** Suggests emoji that match a word. */
export async function suggestEmoji(word: string): Promise<Suggestion[]> {
  const all = await loadEmoji().catch(() => []);
  return searchEmoji(all, word)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ emoji, shortcodes, annotation }) => {
      const code = shortcodes?.find((one) => one.startsWith(word)) ?? shortcodes?.[0] ?? annotation;
      return { key: code, insert: `${emoji} `, label: emoji, hint: `:${code}:`, userId: null };
    });
}
