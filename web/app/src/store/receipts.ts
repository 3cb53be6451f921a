import { isRetryable } from '@confab/sdk';
import { isWrittenBy, type ReceiptPosition, withEntry } from './chatState';
import type { StoreContext } from './storeContext';
import type { UserCache } from './users';

/** Maximum number of members of a chat that shows read receipts. */
export const MAX_RECEIPT_MEMBERS = 50;

/** Minimum time between two updates for a chat, in milliseconds. */
const SEND_INTERVAL_MS = 400;

type ReceiptKind = 'read' | 'delivered';

/** Sends the user's read and delivery markers, and loads those of other members. */
export class ReceiptTracker {
  readonly #context: StoreContext;
  readonly #users: UserCache;
  /** The user's latest markers that are not sent yet. */
  readonly #unsent = new Map<string, { readonly kind: ReceiptKind; readonly chatId: number; messageId: number }>();
  readonly #pausedChats = new Set<number>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #sending: Promise<void> = Promise.resolve();

  constructor(context: StoreContext, users: UserCache) {
    this.#context = context;
    this.#users = users;
  }

  /** Stops marking a chat as read: the user has marked messages of it as unread. */
  pauseAutoRead(chatId: number): void {
    this.#pausedChats.add(chatId);
  }

  /** Marks a chat as read again when its messages are shown. */
  resumeAutoRead(chatId: number): void {
    this.#pausedChats.delete(chatId);
  }

  /** Marks everything up to a message as read. */
  markRead(chatId: number, messageId: number): void {
    if (this.#pausedChats.has(chatId)) return;
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

  /** Advances a marker. */
  advance(kind: ReceiptKind, chatId: number, messageId: number): void {
    const key = `${kind} ${chatId}`;
    const known = this.#unsent.get(key);
    if (known) known.messageId = Math.max(known.messageId, messageId);
    else this.#unsent.set(key, { kind, chatId, messageId });
    this.#timer ??= setTimeout(() => void this.flush(), SEND_INTERVAL_MS);
  }

  /** Sends all queued markers, after those that are being sent. */
  flush(): Promise<void> {
    this.#sending = this.#sending.then(() => this.#sendAll());
    return this.#sending;
  }

  /** A marker that fails with a retryable error stays queued. */
  async #sendAll(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [key, receipt] of [...this.#unsent]) {
      const { kind, chatId, messageId } = receipt;
      try {
        const { markDelivered, markRead } = this.#context.api.chats;
        await (kind === 'read' ? markRead : markDelivered)(chatId, messageId);
      } catch (error) {
        // Retried on the next flush or reconnect. Other errors drop the marker.
        if (isRetryable(error)) continue;
      }
      if (this.#unsent.get(key) === receipt && receipt.messageId === messageId) this.#unsent.delete(key);
      else this.advance(kind, chatId, receipt.messageId);
    }
  }

  /** Loads the receipts of the user's latest message. */
  async load(chatId: number): Promise<void> {
    const state = this.#context.getState();
    const chat = state?.chats.get(chatId);
    if (!state || !chat || chat.member_count > MAX_RECEIPT_MEMBERS) return;
    const mine = state.timelines.get(chatId)?.messages.findLast((one) => isWrittenBy(one, state.me.id));
    if (!mine) return;
    const page = await this.#context.api.messages.listReceipts(mine.id).catch(() => null);
    if (!page) return;
    this.#users.ensure(page.items.filter(({ read_at }) => read_at !== null).map(({ user_id }) => user_id));
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
