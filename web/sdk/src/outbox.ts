import { computeBackoff, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import { ApiError, isRetryable } from './errors.js';
import type { HttpClient } from './http.js';
import { uniqueId } from './ids.js';
import type { Storage } from './storage.js';
import type { Message, NewMessage } from './wire/types.gen.js';

/** A message that is not sent yet. */
export interface PendingMessage {
  readonly chatId: number;
  /** Identifies the message until it has an id, and makes retries idempotent. */
  readonly nonce: string;
  readonly draft: NewMessage;
  /** Creation time, in milliseconds since 1970. */
  readonly at: number;
  readonly status: 'sending' | 'failed';
  /** The error, if `failed`. */
  readonly error?: string;
}

/** The events of an outbox. */
export interface OutboxEvents {
  /** A message was added or changed. */
  pending: PendingMessage;
  /** The server has stored the message. */
  sent: { readonly nonce: string; readonly message: Message };
  /** The sender has discarded the message. */
  dropped: { readonly nonce: string; readonly chatId: number };
}

/** Sends messages, in order within each chat, until the server has stored each exactly once. */
export class Outbox extends Emitter<OutboxEvents> {
  readonly #http: HttpClient;
  readonly #storage: Storage;
  readonly #key: string;
  readonly #queues = new Map<number, PendingMessage[]>();
  readonly #promises = new Map<string, { resolve(message: Message): void; reject(error: unknown): void }>();
  /** Aborts the request of a message that is being sent. */
  readonly #requests = new Map<string, AbortController>();
  readonly #activeChats = new Set<number>();
  /** Nonces of this tab. All other stored messages belong to other tabs. */
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

  /** Returns the pending messages, oldest first. */
  list(chatId?: number): PendingMessage[] {
    const all = chatId === undefined ? [...this.#queues.values()].flat() : (this.#queues.get(chatId) ?? []);
    return all.toSorted((one, other) => one.at - other.at);
  }

  /** Sends a message. Resolves once the server has stored it, and rejects on a permanent error. */
  send(chatId: number, draft: NewMessage): Promise<Message> {
    const nonce = draft.nonce ?? uniqueId();
    const pending: PendingMessage = { chatId, nonce, draft: { ...draft, nonce }, at: Date.now(), status: 'sending' };
    this.#ownNonces.add(nonce);
    this.#queue(chatId).push(pending);
    this.#save();
    this.emit('pending', pending);
    const sent = new Promise<Message>((resolve, reject) => this.#promises.set(nonce, { resolve, reject }));
    // Callers that only use the events need not handle the rejection.
    sent.catch(() => {});
    void this.#drainQueue(chatId);
    return sent;
  }

  /** Retries a failed message. */
  retry(nonce: string): void {
    const pending = this.list().find((one) => one.nonce === nonce);
    if (!pending) return;
    this.#replace({ ...pending, status: 'sending' });
    void this.#drainQueue(pending.chatId);
  }

  /** Discards a message. */
  drop(nonce: string): void {
    const pending = this.list().find((one) => one.nonce === nonce);
    if (!pending) return;
    this.#remove(pending);
    this.#requests.get(nonce)?.abort();
    this.#promises.get(nonce)?.reject(new DOMException('the message was discarded', 'AbortError'));
    this.#promises.delete(nonce);
    this.emit('dropped', { nonce, chatId: pending.chatId });
  }

  /** Sends all waiting messages now, because the server is reachable. */
  flush(): void {
    this.#isClosed = false;
    this.#pauseController.abort();
    this.#pauseController = new AbortController();
    for (const chatId of this.#queues.keys()) void this.#drainQueue(chatId);
  }

  /** Stops sending. Pending messages stay in the storage. */
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
        // A failed message keeps its place and does not block later ones.
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

  /** Posts a message. If it must be retried, returns the server's `Retry-After`, in milliseconds. */
  async #post(pending: PendingMessage): Promise<'done' | { readonly retryAfterMs: number }> {
    const controller = new AbortController();
    this.#requests.set(pending.nonce, controller);
    try {
      const message = await this.#http.request<Message>('POST', `/api/chats/${pending.chatId}/messages`, {
        body: pending.draft,
        signal: controller.signal,
      });
      this.#remove(pending);
      this.#promises.get(pending.nonce)?.resolve(message);
      this.#promises.delete(pending.nonce);
      this.emit('sent', { nonce: pending.nonce, message });
      return 'done';
    } catch (error) {
      if (controller.signal.aborted) return 'done';
      if (isRetryable(error)) return { retryAfterMs: error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0 };
      const detail = error instanceof ApiError ? error.message : String(error);
      this.#replace({ ...pending, status: 'failed', error: detail });
      this.#promises.get(pending.nonce)?.reject(error);
      this.#promises.delete(pending.nonce);
      return 'done';
    } finally {
      this.#requests.delete(pending.nonce);
    }
  }

  #queue(chatId: number): PendingMessage[] {
    const queue = this.#queues.get(chatId) ?? [];
    this.#queues.set(chatId, queue);
    return queue;
  }

  #replace(pending: PendingMessage): void {
    const queue = this.#queues.get(pending.chatId);
    const index = queue?.findIndex((one) => one.nonce === pending.nonce) ?? -1;
    if (!queue || index < 0) return;
    queue[index] = pending;
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
      // If the storage is full, pending messages are lost only when the page closes.
    }
  }
}
