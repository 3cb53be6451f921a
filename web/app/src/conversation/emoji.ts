import dataUrl from 'emoji-picker-element-data/en/emojibase/data.json?url';
import { deviceStorage } from '../storage';

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
const MAX_EMOJI_VERSION = 15;

/** So many are remembered. */
const MAX_RECENT = 16;

const STORAGE_KEY = 'confab.emoji';

/** The groups of the list, by number: those that people pick from. */
export const GROUPS = [0, 1, 3, 4, 5, 6, 7, 8, 9] as const;

let emojiPromise: Promise<readonly Emoji[]> | null = null;

/** All emoji in their order, fetched once. */
export function loadEmoji(): Promise<readonly Emoji[]> {
  emojiPromise ??= fetch(dataUrl)
    .then((response) => response.json() as Promise<Emoji[]>)
    .then((all) => all.filter(({ version }) => version <= MAX_EMOJI_VERSION))
    .catch((error) => {
      emojiPromise = null;
      throw error;
    });
  return emojiPromise;
}

/** Those that some words stand for, the closest first. */
export function searchEmoji(all: readonly Emoji[], text: string): Emoji[] {
  const query = text.trim().toLowerCase();
  const getRank = ({ shortcodes, annotation, tags }: Emoji) => {
    if (shortcodes?.includes(query)) return 0;
    if (shortcodes?.some((code) => code.startsWith(query))) return 1;
    if (annotation.toLowerCase().includes(query)) return 2;
    return tags?.some((tag) => tag.startsWith(query)) ? 3 : 4;
  };
  return all
    .map((emoji) => ({ emoji, rank: getRank(emoji) }))
    .filter(({ rank }) => rank < 4)
    .sort((one, other) => one.rank - other.rank)
    .map(({ emoji }) => emoji);
}

/** The ones picked last, the latest first. */
export function getRecentEmoji(): readonly string[] {
  try {
    return JSON.parse(deviceStorage.getItem(STORAGE_KEY) ?? '[]') as string[];
  } catch {
    return [];
  }
}

/** Remembers that one was picked. */
export function addRecentEmoji(emoji: string): void {
  deviceStorage.setItem(
    STORAGE_KEY,
    JSON.stringify([emoji, ...getRecentEmoji().filter((one) => one !== emoji)].slice(0, MAX_RECENT)),
  );
}
