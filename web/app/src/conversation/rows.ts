import type { Embed, FileInfo, Message, PendingMessage } from '@confab/sdk';
import { getDayKey } from '../locales/time';
import type { Timeline } from '../store/chatState';
import { findMessageLinks } from './messageLinks';

/** One row of a timeline. */
export type TimelineRow =
  | { readonly kind: 'start'; readonly key: string }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: Message;
      /** Whether it is the first message of a group by one sender. */
      readonly isGroupStart: boolean;
      /** Whether it is the first message of its day. */
      readonly isNewDay: boolean;
    }
  | {
      readonly kind: 'pending';
      readonly key: string;
      readonly pending: PendingMessage;
      readonly isGroupStart: boolean;
      readonly isNewDay: boolean;
    };

/** A longer text, in characters or lines, is folded. */
const MAX_UNFOLDED_LENGTH = 2_000;
const MAX_UNFOLDED_LINES = 30;

/** Height of a folded text, in pixels; the style sheet has the same. */
const FOLDED_HEIGHT = 360;

/** The ids of the folded messages that the user has unfolded. */
export const unfoldedMessages = new Set<number>();

/** Whether only the beginning of a message is shown. */
export function isFolded({ id, content }: Message): boolean {
  const isLong = content.length > MAX_UNFOLDED_LENGTH || (content.match(/\n/g)?.length ?? 0) >= MAX_UNFOLDED_LINES;
  return isLong && !unfoldedMessages.has(id);
}

/** Height of a system message, and of what remains of a deleted one, in pixels. */
const LINE_HEIGHT = 30;

/** Height of a linked message with its margin, in pixels; its style sheet has the same. */
const LINKED_MESSAGE_HEIGHT = 60;

/** Cached height estimates. */
const heightEstimates = new WeakMap<Message, number>();

/** Consecutive messages of one sender within this time are grouped, in milliseconds. */
const GROUP_WINDOW_MS = 5 * 60_000;

/**
 * The rows of a timeline, created on demand. While there is older history,
 * the oldest loaded message is hidden and only determines how the next one is grouped.
 * Therefore loading older messages never changes an existing row.
 */
export class TimelineRows {
  readonly #timeline: Timeline;
  readonly #pending: readonly PendingMessage[];
  readonly #myId: number;
  /** Row index of the first message; -1 if it is hidden. */
  readonly #offset: number;

  constructor(timeline: Timeline, pending: readonly PendingMessage[], myId: number) {
    this.#myId = myId;
    this.#timeline = timeline;
    this.#pending = timeline.hasNewer ? [] : pending;
    this.#offset = !timeline.hasOlder ? 1 : timeline.messages.length > 0 ? -1 : 0;
  }

  get count(): number {
    return Math.max(this.#timeline.messages.length + this.#offset, 0) + this.#pending.length;
  }

  /** The row of a message, or -1. */
  indexOf(messageId: number): number {
    const { messages } = this.#timeline;
    let [from, to] = [0, messages.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((messages[middle]?.id ?? 0) < messageId) from = middle + 1;
      else to = middle;
    }
    return messages[from]?.id === messageId ? from + this.#offset : -1;
  }

  getKey(index: number): string {
    const messageIndex = index - this.#offset;
    if (messageIndex < 0) return 'start';
    const message = this.#timeline.messages[messageIndex];
    // Nonces are unique per sender only, so use our own alone.
    if (message)
      return message.nonce && message.sender_id === this.#myId ? `mine ${message.nonce}` : String(message.id);
    return `mine ${this.#pending[messageIndex - this.#timeline.messages.length]?.nonce}`;
  }

  at(index: number): TimelineRow {
    const messageIndex = index - this.#offset;
    const { messages } = this.#timeline;
    if (messageIndex < 0) return { kind: 'start', key: 'start' };
    const [message, previous] = [messages[messageIndex], messages[messageIndex - 1]];
    if (message) {
      const isNewDay = !previous || getDayKey(previous.created_at) !== getDayKey(message.created_at);
      // What takes one line has no header.
      const isLine = message.kind === 'system' || message.deleted_at !== null;
      const isGroupStart = !isLine && (isNewDay || message.reply_to !== null || !isSameGroup(previous, message));
      return { kind: 'message', key: this.getKey(index), message, isGroupStart, isNewDay };
    }
    const pending = this.#pending[messageIndex - messages.length];
    if (!pending) throw new RangeError(`row index ${index} is out of range`);
    return { kind: 'pending', key: this.getKey(index), pending, ...this.#getPendingGroup(pending, messageIndex) };
  }

  /** How an unsent message is grouped: as the stored one will be, so that its row does not change. */
  #getPendingGroup({ at, draft }: PendingMessage, index: number): { isGroupStart: boolean; isNewDay: boolean } {
    const { messages } = this.#timeline;
    const isReply = (draft.reply_to ?? null) !== null;
    const before = this.#pending[index - messages.length - 1];
    const last = messages.at(-1);
    const previousAt = before?.at ?? (last && Date.parse(last.created_at));
    if (previousAt === undefined) return { isGroupStart: true, isNewDay: true };
    const isNewDay = new Date(previousAt).toDateString() !== new Date(at).toDateString();
    const continues = before !== undefined || (last !== undefined && canContinueGroup(last, this.#myId));
    return { isGroupStart: isNewDay || isReply || !continues || at - previousAt >= GROUP_WINDOW_MS, isNewDay };
  }

  /** Estimates the height of a row before it is measured, in pixels. */
  estimateHeight(index: number): number {
    const messageIndex = index - this.#offset;
    const message = this.#timeline.messages[messageIndex];
    if (!message) return messageIndex < 0 ? 140 : 52;
    const known = heightEstimates.get(message);
    if (known !== undefined) return known;
    if (message.kind === 'system' || message.deleted_at !== null) return LINE_HEIGHT;
    const lines = Math.ceil(message.content.length / 85) + (message.content.match(/\n/g)?.length ?? 0);
    const textHeight = isFolded(message) ? FOLDED_HEIGHT + 36 : Math.max(lines, 1) * 22;
    const images = message.files.filter(isImage);
    const [single] = images;
    const galleryHeight =
      images.length === 1 && single ? getImageSize(single).height + 8 : getGalleryHeight(images.length);
    const imagesHeight = galleryHeight + (message.files.length - images.length) * 64;
    const linksHeight = findMessageLinks(message.content, location.origin).length * LINKED_MESSAGE_HEIGHT;
    const embedsHeight = (message.embeds ?? []).reduce((sum, embed) => sum + estimateEmbedHeight(embed), 0);
    const height =
      34 + textHeight + imagesHeight + linksHeight + embedsHeight + (message.reactions.length > 0 ? 34 : 0);
    heightEstimates.set(message, height);
    return height;
  }
}

function estimateEmbedHeight({ author, title, description, fields, footer }: Embed): number {
  const lines = Math.ceil((description?.length ?? 0) / 60) + (description?.match(/\n/g)?.length ?? 0);
  const extra = [author, title, footer].filter(Boolean).length + (fields?.length ?? 0) * 2;
  return 24 + (lines + extra) * 22;
}

/** Whether the next message of a user may be in the group of a message. */
function canContinueGroup(previous: Message, senderId: number | null): boolean {
  return previous.sender_id === senderId && previous.deleted_at === null && previous.kind !== 'system';
}

function isSameGroup(previous: Message, message: Message): boolean {
  return (
    canContinueGroup(previous, message.sender_id) &&
    previous.author?.name === message.author?.name &&
    Date.parse(message.created_at) - Date.parse(previous.created_at) < GROUP_WINDOW_MS
  );
}

/** Width of a tile of a gallery of two and of three columns, in pixels; the style sheet has the same. */
const TILE_WIDTHS: Readonly<Record<number, number>> = { 2: 180, 3: 144 };

/** The number of columns of a gallery of images. */
export const getGalleryColumns = (count: number) => (count <= 4 ? 2 : 3);

/** The height of a gallery of more than one image, in pixels. */
function getGalleryHeight(count: number): number {
  const columns = getGalleryColumns(count);
  return Math.ceil(count / columns) * ((TILE_WIDTHS[columns] ?? 0) + 4);
}

/** Whether a file is shown as an image. */
export function isImage(file: FileInfo): boolean {
  return file.width !== null && file.height !== null && file.mime_type.startsWith('image/');
}

/** The displayed size of an image, in pixels. It is known before the image loads, so loading shifts no layout. */
export function getImageSize({ width, height }: Pick<FileInfo, 'width' | 'height'>): { width: number; height: number } {
  const scale = Math.min(1, 400 / (width || 1), 300 / (height || 1));
  return {
    width: Math.max(Math.round((width || 1) * scale), 48),
    height: Math.max(Math.round((height || 1) * scale), 48),
  };
}
