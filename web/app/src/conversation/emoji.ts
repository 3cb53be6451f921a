import dataUrl from 'emoji-picker-element-data/en/emojibase/data.json?url';
import { deviceStorage } from '../storage';

/** An emoji, as in the vendored data set. */
export interface Emoji {
  readonly emoji: string;
  /** The description. */
  readonly annotation: string;
  /** The group number; see `GROUPS`. */
  readonly group: number;
  readonly shortcodes?: readonly string[];
  readonly tags?: readonly string[];
  /** The variants with skin tones; one with several people has one for each combination. */
  readonly skins?: readonly { readonly emoji: string; readonly tone: number | readonly number[] }[];
  /** The Unicode emoji version that added the emoji. */
  readonly version: number;
}

/** The newest supported emoji version. Many devices show newer emoji as boxes. */
const MAX_EMOJI_VERSION = 15;

/** Maximum number of recent emoji. */
const MAX_RECENT = 16;

const STORAGE_KEY = 'confab.emoji';

/** The group numbers shown in the picker. */
export const GROUPS = [0, 1, 3, 4, 5, 6, 7, 8, 9] as const;

let emojiPromise: Promise<readonly Emoji[]> | null = null;
let loadedEmoji: readonly Emoji[] | null = null;

/** Loads all emoji in order, once. */
export function loadEmoji(): Promise<readonly Emoji[]> {
  emojiPromise ??= fetch(dataUrl)
    .then((response) => response.json() as Promise<Emoji[]>)
    .then((all) => {
      loadedEmoji = all.filter(({ version }) => version <= MAX_EMOJI_VERSION);
      return loadedEmoji;
    })
    .catch((error) => {
      emojiPromise = null;
      throw error;
    });
  return emojiPromise;
}

/** A shortcode between colons, such as `:tada:`, at the beginning of a word: `std::thread::spawn` has none. */
const SHORTCODE = /(?<=^|[\s([{"'“‘\p{Extended_Pictographic}]):([a-z0-9_+-]+):(?!:)/gu;

/** Replaces shortcodes such as `:tada:` by emoji, except in code spans and code blocks, once the emoji are loaded. */
export function replaceShortcodes(text: string): string {
  if (!loadedEmoji || !text.includes(':')) return text;
  const byCode = getEmojiByShortcode(loadedEmoji);
  const parts = text.split(/(```[\s\S]*?(?:```|$)|`[^`\n]*(?:`|$))/);
  return parts
    .map((part, nth) =>
      nth % 2 === 1 ? part : part.replace(SHORTCODE, (code, name: string) => byCode.get(name) ?? code),
    )
    .join('');
}

let codes: ReadonlyMap<string, string> | null = null;

function getEmojiByShortcode(all: readonly Emoji[]): ReadonlyMap<string, string> {
  codes ??= new Map(all.flatMap(({ emoji, shortcodes }) => shortcodes?.map((code) => [code, emoji] as const) ?? []));
  return codes;
}

/** Returns the emoji that match a query, best match first. */
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

/** The skin tones: 0 for none, 1 for light to 5 for dark. */
export const SKIN_TONES = [0, 1, 2, 3, 4, 5] as const;

const TONE_STORAGE_KEY = 'confab.skinTone';

/** Returns the chosen skin tone. */
export function getSkinTone(): number {
  const tone = Number(deviceStorage.getItem(TONE_STORAGE_KEY));
  return SKIN_TONES.some((one) => one === tone) ? tone : 0;
}

/** Chooses the skin tone of the emoji that have one. */
export const setSkinTone = (tone: number) => deviceStorage.setItem(TONE_STORAGE_KEY, String(tone));

/** Returns an emoji with a skin tone, if it has one. */
export function withSkinTone({ emoji, skins }: Emoji, tone: number): string {
  const isOfTone = (one: number | readonly number[]) =>
    (typeof one === 'number' ? [one] : one).every((it) => it === tone);
  return skins?.find((skin) => isOfTone(skin.tone))?.emoji ?? emoji;
}

/** Returns the recently used emoji, latest first. */
export function getRecentEmoji(): readonly string[] {
  try {
    return JSON.parse(deviceStorage.getItem(STORAGE_KEY) ?? '[]') as string[];
  } catch {
    return [];
  }
}

/** Adds an emoji to the recently used ones. */
export function addRecentEmoji(emoji: string): void {
  deviceStorage.setItem(
    STORAGE_KEY,
    JSON.stringify([emoji, ...getRecentEmoji().filter((one) => one !== emoji)].slice(0, MAX_RECENT)),
  );
}
