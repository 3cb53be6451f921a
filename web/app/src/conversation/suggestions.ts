import type { ChatState } from '../store/chatState';
import { getDisplayName } from '../store/hooks';
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
interface SuggestionQuery {
  readonly kind: 'user' | 'emoji';
  readonly word: string;
  readonly start: number;
}

/** Maximum number of suggestions. */
const MAX_SUGGESTIONS = 8;

/** Parses the mention or emoji query at the caret, if any. */
export function parseSuggestionQuery(text: string, caret: number): SuggestionQuery | null {
  const before = text.slice(0, caret);
  const match = /(?:^|\s)([@:])([\p{L}\p{N}_.+-]*)$/u.exec(before);
  if (!match) return null;
  const [, trigger, word = ''] = match;
  if (trigger === ':' && word.length < 2) return null;
  return { kind: trigger === '@' ? 'user' : 'emoji', word: word.toLowerCase(), start: caret - word.length - 1 };
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
