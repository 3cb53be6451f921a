import { isPassing } from '@confab/sdk';
import type { Ground } from './ground';
import { having, type Marks } from './world';

/** In larger chats nobody is shown who has read what. */
export const MOST_RECEIPTS = 50;

/** Marks are told at most so often for each chat, in milliseconds. */
const EVERY_MS = 400;

type Kind = 'read' | 'delivered';

/** How far everybody has come: tells the server of oneself, and learns it of the others. */
export class Receipts {
  readonly #ground: Ground;
  /** One's own furthest of each, until it is told. */
  readonly #waiting = new Map<string, { readonly kind: Kind; readonly chatId: number; messageId: number }>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** Everything up to a message was read. */
  read(chatId: number, messageId: number): void {
    const row = this.#ground.world()?.chats.get(chatId);
    if (!row || (messageId <= (row.last_read_message_id ?? 0) && row.unread_count === 0)) return;
    this.#ground.update((world) => ({
      ...world,
      chats: having(world.chats, chatId, {
        ...row,
        unread_count: 0,
        mention_count: 0,
        last_read_message_id: Math.max(messageId, row.last_read_message_id ?? 0),
      }),
    }));
    this.reached('read', chatId, messageId);
  }

  /** One has come as far as this. */
  reached(kind: Kind, chatId: number, messageId: number): void {
    const key = `${kind} ${chatId}`;
    const known = this.#waiting.get(key);
    if (known) known.messageId = Math.max(known.messageId, messageId);
    else this.#waiting.set(key, { kind, chatId, messageId });
    this.#timer ??= setTimeout(() => void this.tell(), EVERY_MS);
  }

  /** Tells what waits; what cannot be told waits on. */
  async tell(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [key, mark] of [...this.#waiting]) {
      const { kind, chatId, messageId } = mark;
      try {
        await this.#ground.api.chats[kind](chatId, messageId);
      } catch (error) {
        // It is told again when the line is whole, or with the next one; unless the server wants none of it.
        if (isPassing(error)) continue;
      }
      if (this.#waiting.get(key) === mark && mark.messageId === messageId) this.#waiting.delete(key);
      else this.reached(kind, chatId, mark.messageId);
    }
  }

  /** Reads how far the others are with my latest message. */
  async show(chatId: number): Promise<void> {
    const world = this.#ground.world();
    const row = world?.chats.get(chatId);
    if (!world || !row || row.member_count > MOST_RECEIPTS) return;
    const mine = world.timelines.get(chatId)?.messages.findLast(({ sender_id }) => sender_id === world.me.id);
    if (!mine) return;
    const page = await this.#ground.api.messages.receipts(mine.id).catch(() => null);
    if (!page) return;
    this.#ground.update((now) => {
      const marks = new Map<number, Marks>(now.marks.get(chatId));
      for (const { user_id, delivered_at, read_at } of page.items) {
        const known = marks.get(user_id) ?? { delivered: 0, read: 0 };
        const read = Math.max(known.read, read_at ? mine.id : 0);
        marks.set(user_id, { delivered: Math.max(known.delivered, delivered_at ? mine.id : 0, read), read });
      }
      return { ...now, marks: having(now.marks, chatId, marks) };
    });
  }
}
