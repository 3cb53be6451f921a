import { isRetryable } from '@confab/sdk';
import { type ReceiptPosition, withEntry } from './chatState';
import type { StoreContext } from './storeContext';

/** In larger chats nobody is shown who has read what. */
export const MAX_RECEIPT_MEMBERS = 50;

/** Marks are told at most so often for each chat, in milliseconds. */
const SEND_INTERVAL_MS = 400;

type ReceiptKind = 'read' | 'delivered';

/** How far everybody has come: tells the server of oneself, and learns it of the others. */
export class ReceiptTracker {
  readonly #context: StoreContext;
  /** One's own furthest of each, until it is told. */
  readonly #unsent = new Map<string, { readonly kind: ReceiptKind; readonly chatId: number; messageId: number }>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Everything up to a message was read. */
  markRead(chatId: number, messageId: number): void {
    const chat = this.#context.getState()?.chats.get(chatId);
    if (!chat || (messageId <= (chat.last_read_message_id ?? 0) && chat.unread_count === 0)) return;
    this.#context.update((state) => ({
      ...state,
      chats: withEntry(state.chats, chatId, {
        ...chat,
        unread_count: 0,
        mention_count: 0,
        last_read_message_id: Math.max(messageId, chat.last_read_message_id ?? 0),
      }),
    }));
    this.advance('read', chatId, messageId);
  }

  /** One has come as far as this. */
  advance(kind: ReceiptKind, chatId: number, messageId: number): void {
    const key = `${kind} ${chatId}`;
    const known = this.#unsent.get(key);
    if (known) known.messageId = Math.max(known.messageId, messageId);
    else this.#unsent.set(key, { kind, chatId, messageId });
    this.#timer ??= setTimeout(() => void this.flush(), SEND_INTERVAL_MS);
  }

  /** Tells what waits; what cannot be told waits on. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [key, receipt] of [...this.#unsent]) {
      const { kind, chatId, messageId } = receipt;
      try {
        const { markDelivered, markRead } = this.#context.api.chats;
        await (kind === 'read' ? markRead : markDelivered)(chatId, messageId);
      } catch (error) {
        // It is told again when the line is whole, or with the next one; unless the server wants none of it.
        if (isRetryable(error)) continue;
      }
      if (this.#unsent.get(key) === receipt && receipt.messageId === messageId) this.#unsent.delete(key);
      else this.advance(kind, chatId, receipt.messageId);
    }
  }

  /** Reads how far the others are with my latest message. */
  async load(chatId: number): Promise<void> {
    const state = this.#context.getState();
    const chat = state?.chats.get(chatId);
    if (!state || !chat || chat.member_count > MAX_RECEIPT_MEMBERS) return;
    const mine = state.timelines.get(chatId)?.messages.findLast(({ sender_id }) => sender_id === state.me.id);
    if (!mine) return;
    const page = await this.#context.api.messages.listReceipts(mine.id).catch(() => null);
    if (!page) return;
    this.#context.update((now) => {
      const positions = new Map<number, ReceiptPosition>(now.receipts.get(chatId));
      for (const { user_id, delivered_at, read_at } of page.items) {
        const known = positions.get(user_id) ?? { delivered: 0, read: 0 };
        const read = Math.max(known.read, read_at ? mine.id : 0);
        positions.set(user_id, { delivered: Math.max(known.delivered, delivered_at ? mine.id : 0, read), read });
      }
      return { ...now, receipts: withEntry(now.receipts, chatId, positions) };
    });
  }
}
