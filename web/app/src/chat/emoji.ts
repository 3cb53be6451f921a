import address from 'emoji-picker-element-data/en/emojibase/data.json?url';
import { kept } from '../kept';

/** One emoji, as its vendored list has it. */
export interface Emoji {
  readonly emoji: string;
  /** What it shows, in words. */
  readonly annotation: string;
  /** Its place in `GROUPS`. */
  readonly group: number;
  readonly shortcodes?: readonly string[];
  readonly tags?: readonly string[];
  /** Of Unicode's emoji. */
  readonly version: number;
}

/** Newer ones are boxes on many screens. */
const NEWEST = 15;

/** So many are remembered. */
const MOST_RECENT = 16;

const RECENT = 'confab.emoji';

/** The groups of the list, by number: those that people pick from. */
export const GROUPS = [0, 1, 3, 4, 5, 6, 7, 8, 9] as const;

let list: Promise<readonly Emoji[]> | null = null;

/** All emoji in their order, fetched once. */
export function allEmoji(): Promise<readonly Emoji[]> {
  list ??= fetch(address)
    .then((answer) => answer.json() as Promise<Emoji[]>)
    .then((all) => all.filter(({ version }) => version <= NEWEST))
    .catch((error) => {
      list = null;
      throw error;
    });
  return list;
}

/** Those that some words stand for, the closest first. */
export function matching(all: readonly Emoji[], words: string): Emoji[] {
  const asked = words.trim().toLowerCase();
  const closeness = ({ shortcodes, annotation, tags }: Emoji) => {
    if (shortcodes?.includes(asked)) return 0;
    if (shortcodes?.some((code) => code.startsWith(asked))) return 1;
    if (annotation.toLowerCase().includes(asked)) return 2;
    return tags?.some((tag) => tag.startsWith(asked)) ? 3 : 4;
  };
  return all
    .map((emoji) => ({ emoji, far: closeness(emoji) }))
    .filter(({ far }) => far < 4)
    .sort((one, other) => one.far - other.far)
    .map(({ emoji }) => emoji);
}

/** The ones picked last, the latest first. */
export function recent(): readonly string[] {
  try {
    return JSON.parse(kept.getItem(RECENT) ?? '[]') as string[];
  } catch {
    return [];
  }
}

/** Remembers that one was picked. */
export function remember(emoji: string): void {
  kept.setItem(RECENT, JSON.stringify([emoji, ...recent().filter((one) => one !== emoji)].slice(0, MOST_RECENT)));
}
