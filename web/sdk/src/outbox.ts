import { computeBackoff, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import { ApiError, isRetryable } from './errors.js';
import type { HttpClient } from './http.js';
import { uniqueId } from './ids.js';
import type { Storage } from './storage.js';
import type { Message, NewMessage } from './wire/types.gen.js';

/** A message on its way. */
export interface PendingMessage {
  readonly chatId: number;
  /** Its name until the server gives it an id, and the reason that it is never sent twice. */
  readonly nonce: string;
  readonly draft: NewMessage;
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  readonly status: 'sending' | 'failed';
  /** Why it failed. */
  readonly error?: string;
}

/** What became of a message. */
export interface OutboxEvents {
  /** One was added, or has changed. */
  pending: PendingMessage;
  /** The server has it. */
  sent: { readonly nonce: string; readonly message: Message };
  /** It was given up by its author. */
  dropped: { readonly nonce: string; readonly chatId: number };
}

/** Sends messages, in order in each chat, until the server has each of them exactly once. */
export class Outbox extends Emitter<OutboxEvents> {
  readonly #http: HttpClient;
  readonly #storage: Storage;
  readonly #key: string;
  readonly #queues = new Map<number, PendingMessage[]>();
  readonly #promises = new Map<string, { resolve(message: Message): void; reject(error: unknown): void }>();
  readonly #activeChats = new Set<number>();
  /** What this tab has had; what else is kept is another tab's. */
  readonly #ownNonces = new Set<string>();
  #pauseController = new AbortController();
  #isClosed = false;

  constructor(http: HttpClient, storage: Storage, key: string) {
    super();
    this.#http = http;
    this.#storage = storage;
    this.#key = key;
    for (const pending of this.#load()) {
      this.#ownNonces.add(pending.nonce);
      this.#queue(pending.chatId).push(pending);
    }
  }

  /** All that is on its way, oldest first. */
  list(chatId?: number): PendingMessage[] {
    const all = chatId === undefined ? [...this.#queues.values()].flat() : (this.#queues.get(chatId) ?? []);
    return all.toSorted((one, other) => one.at - other.at);
  }

  /** Sends; resolves with the message once the server has it, and rejects when it never will. */
  send(chatId: number, draft: NewMessage): Promise<Message> {
    const nonce = draft.nonce ?? uniqueId();
    const pending: PendingMessage = { chatId, nonce, draft: { ...draft, nonce }, at: Date.now(), status: 'sending' };
    this.#ownNonces.add(nonce);
    this.#queue(chatId).push(pending);
    this.#save();
    this.emit('pending', pending);
    const sent = new Promise<Message>((resolve, reject) => this.#promises.set(nonce, { resolve, reject }));
    // Who only watches the events need not handle it too.
    sent.catch(() => {});
    void this.#drainQueue(chatId);
    return sent;
  }

  /** Tries again what failed. */
  retry(nonce: string): void {
    const pending = this.list().find((one) => one.nonce === nonce);
    if (!pending) return;
    this.#replace({ ...pending, status: 'sending' });
    void this.#drainQueue(pending.chatId);
  }

  /** Gives up what failed. */
  drop(nonce: string): void {
    const pending = this.list().find((one) => one.nonce === nonce);
    if (!pending) return;
    this.#remove(pending);
    this.emit('dropped', { nonce, chatId: pending.chatId });
  }

  /** The server is there, or there again: nothing waits any longer. */
  flush(): void {
    this.#isClosed = false;
    this.#pauseController.abort();
    this.#pauseController = new AbortController();
    for (const chatId of this.#queues.keys()) void this.#drainQueue(chatId);
  }

  /** Sends no more; what waits is kept for the next time. */
  close(): void {
    this.#isClosed = true;
    this.#pauseController.abort();
  }

  async #drainQueue(chatId: number): Promise<void> {
    if (this.#activeChats.has(chatId)) return;
    this.#activeChats.add(chatId);
    try {
      let failures = 0;
      for (;;) {
        // What failed for good keeps its place and holds nobody up.
        const next = this.#queues.get(chatId)?.find((one) => one.status === 'sending');
        if (!next || this.#isClosed) return;
        const outcome = await this.#post(next);
        if (outcome !== 'done') {
          await sleep(Math.max(outcome.retryAfterMs, computeBackoff(failures)), this.#pauseController.signal);
          failures += 1;
        } else {
          failures = 0;
        }
      }
    } finally {
      this.#activeChats.delete(chatId);
    }
  }

  /** Sends it; when not done, how long the server wants to be left alone, in milliseconds. */
  async #post(pending: PendingMessage): Promise<'done' | { readonly retryAfterMs: number }> {
    try {
      const body = pending.draft;
      const message = await this.#http.request<Message>('POST', `/api/chats/${pending.chatId}/messages`, { body });
      this.#remove(pending);
      this.#promises.get(pending.nonce)?.resolve(message);
      this.#promises.delete(pending.nonce);
      this.emit('sent', { nonce: pending.nonce, message });
      return 'done';
    } catch (error) {
      if (isRetryable(error)) return { retryAfterMs: error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0 };
      const detail = error instanceof ApiError ? error.message : String(error);
      this.#replace({ ...pending, status: 'failed', error: detail });
      this.#promises.get(pending.nonce)?.reject(error);
      this.#promises.delete(pending.nonce);
      return 'done';
    }
  }

  #queue(chatId: number): PendingMessage[] {
    const queue = this.#queues.get(chatId) ?? [];
    this.#queues.set(chatId, queue);
    return queue;
  }

  #replace(pending: PendingMessage): void {
    const queue = this.#queue(pending.chatId);
    const index = queue.findIndex((one) => one.nonce === pending.nonce);
    if (index >= 0) queue[index] = pending;
    this.#save();
    this.emit('pending', pending);
  }

  #remove({ chatId, nonce }: PendingMessage): void {
    const remaining = this.#queue(chatId).filter((one) => one.nonce !== nonce);
    if (remaining.length > 0) this.#queues.set(chatId, remaining);
    else this.#queues.delete(chatId);
    this.#save();
  }

  #load(): PendingMessage[] {
    try {
      return JSON.parse(this.#storage.getItem(this.#key) ?? '[]') as PendingMessage[];
    } catch {
      return [];
    }
  }

  #save(): void {
    const others = this.#load().filter(({ nonce }) => !this.#ownNonces.has(nonce));
    const all = [...others, ...this.list()];
    try {
      if (all.length > 0) this.#storage.setItem(this.#key, JSON.stringify(all));
      else this.#storage.removeItem(this.#key);
    } catch {
      // A full store costs what is on its way only if the page goes too.
    }
  }
}
