import { nameOf } from '../world/use';
import type { World } from '../world/world';
import { allEmoji, matching } from './emoji';

/** Something that a few letters stand for. */
export interface Suggestion {
  readonly key: string;
  /** What is put into the text. */
  readonly insert: string;
  readonly label: string;
  readonly hint: string;
  readonly userId: number | null;
}

/** The word that is being written, and where it begins. */
interface Query {
  readonly kind: 'person' | 'emoji';
  readonly word: string;
  readonly from: number;
}

/** So many are offered. */
const MOST = 8;

/** What is being asked for at the caret, if anything. */
export function queryAt(text: string, caret: number): Query | null {
  const before = text.slice(0, caret);
  const found = /(?:^|\s)([@:])([\p{L}\p{N}_.+-]*)$/u.exec(before);
  if (!found) return null;
  const [, sign, word = ''] = found;
  if (sign === ':' && word.length < 2) return null;
  return { kind: sign === '@' ? 'person' : 'emoji', word: word.toLowerCase(), from: caret - word.length - 1 };
}

/** People of a chat whose name begins with a word, those who are in it first. */
export function peopleFor(world: World, chatId: number, word: string): Suggestion[] {
  const members = new Set(world.members.get(chatId)?.map(({ id }) => id));
  const begins = (name: string) => name.toLowerCase().startsWith(word);
  const everyone = { id: 0, username: 'everyone', display_name: '', deleted_at: null };
  return [...world.people.values(), everyone]
    .filter((user) => user.id !== world.me.id && user.deleted_at === null)
    .filter((user) => begins(user.username) || user.display_name.split(' ').some(begins))
    .sort(
      (one, other) =>
        Number(members.has(other.id)) - Number(members.has(one.id)) || one.username.localeCompare(other.username),
    )
    .slice(0, MOST)
    .map((user) => ({
      key: user.username,
      insert: `@${user.username} `,
      label: nameOf(user),
      hint: `@${user.username}`,
      userId: user.id || null,
    }));
}

/** Emoji whose name begins with a word. */
export async function emojiFor(word: string): Promise<Suggestion[]> {
  const all = await allEmoji().catch(() => []);
  return matching(all, word)
    .slice(0, MOST)
    .map(({ emoji, shortcodes, annotation }) => {
      const code = shortcodes?.find((one) => one.startsWith(word)) ?? shortcodes?.[0] ?? annotation;
      return { key: code, insert: `${emoji} `, label: emoji, hint: `:${code}:`, userId: null };
    });
}
