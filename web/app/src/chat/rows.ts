import type { FileInfo, Message, Pending } from '@confab/sdk';
import { dayKey } from '../words/time';
import type { Timeline } from '../world/world';

/** One row of a timeline. */
export type Row =
  | { readonly kind: 'start'; readonly key: string }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: Message;
      /** Whether it begins what one person says at one time. */
      readonly isFirst: boolean;
      /** Whether it is the first of its day. */
      readonly isNewDay: boolean;
    }
  | { readonly kind: 'pending'; readonly key: string; readonly pending: Pending; readonly isFirst: boolean };

/** Guessed once for each. */
const estimates = new WeakMap<Message, number>();

/** What one person says within this is shown together, in milliseconds. */
const TOGETHER_MS = 5 * 60_000;

/**
 * The rows of a timeline, made as they are asked for. While there is older history
 * the oldest message is not shown, but tells the shape of the next: so reading more
 * never changes a row that is there.
 */
export class Rows {
  readonly #run: Timeline;
  readonly #pending: readonly Pending[];
  readonly #me: number;
  /** How many rows stand before the message at 0. */
  readonly #shift: number;

  constructor(run: Timeline, pending: readonly Pending[], me: number) {
    this.#me = me;
    this.#run = run;
    this.#pending = run.hasNewer ? [] : pending;
    this.#shift = !run.hasOlder ? 1 : run.messages.length > 0 ? -1 : 0;
  }

  get count(): number {
    return Math.max(this.#run.messages.length + this.#shift, 0) + this.#pending.length;
  }

  /** The row of a message, or -1. */
  indexOf(messageId: number): number {
    const { messages } = this.#run;
    let [from, to] = [0, messages.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((messages[middle]?.id ?? 0) < messageId) from = middle + 1;
      else to = middle;
    }
    return messages[from]?.id === messageId ? from + this.#shift : -1;
  }

  key(index: number): string {
    const nth = index - this.#shift;
    if (nth < 0) return 'start';
    const message = this.#run.messages[nth];
    // A nonce is its sender's own: of others it says nothing.
    if (message) return message.nonce && message.sender_id === this.#me ? `mine ${message.nonce}` : String(message.id);
    return `mine ${this.#pending[nth - this.#run.messages.length]?.nonce}`;
  }

  at(index: number): Row {
    const nth = index - this.#shift;
    const { messages } = this.#run;
    if (nth < 0) return { kind: 'start', key: 'start' };
    const [message, before] = [messages[nth], messages[nth - 1]];
    if (message) {
      const isNewDay = !before || dayKey(before.created_at) !== dayKey(message.created_at);
      const isFirst = isNewDay || message.reply_to !== null || !isTogether(before, message);
      return { kind: 'message', key: this.key(index), message, isFirst, isNewDay };
    }
    const pending = this.#pending[nth - messages.length];
    if (!pending) throw new RangeError(`there is no row ${index}`);
    return { kind: 'pending', key: this.key(index), pending, isFirst: nth === messages.length };
  }

  /** How tall a row may be, in pixels, before it is seen. */
  estimate(index: number): number {
    const nth = index - this.#shift;
    const message = this.#run.messages[nth];
    if (!message) return nth < 0 ? 140 : 52;
    const known = estimates.get(message);
    if (known !== undefined) return known;
    const lines = Math.ceil(message.content.length / 85) + (message.content.match(/\n/g)?.length ?? 0);
    const pictures = message.files.reduce(
      (sum, file) => sum + (isPicture(file) ? pictureSize(file).height + 8 : 64),
      0,
    );
    const height = 34 + Math.max(lines, 1) * 22 + pictures + (message.reactions.length > 0 ? 34 : 0);
    estimates.set(message, height);
    return height;
  }
}

function isTogether(before: Message, message: Message): boolean {
  return (
    before.sender_id === message.sender_id &&
    before.deleted_at === null &&
    Date.parse(message.created_at) - Date.parse(before.created_at) < TOGETHER_MS
  );
}

/** Which files a message may show as pictures. */
export function isPicture(file: FileInfo): boolean {
  return file.width !== null && file.height !== null && file.mime_type.startsWith('image/');
}

/** The room that a picture takes, in pixels: known before it is fetched, so that nothing moves when it comes. */
export function pictureSize({ width, height }: Pick<FileInfo, 'width' | 'height'>): { width: number; height: number } {
  const scale = Math.min(1, 400 / (width || 1), 300 / (height || 1));
  return {
    width: Math.max(Math.round((width || 1) * scale), 48),
    height: Math.max(Math.round((height || 1) * scale), 48),
  };
}
