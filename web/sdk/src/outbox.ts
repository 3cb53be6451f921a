import { pauseAfter, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import { ApiError, isPassing } from './errors.js';
import type { Http } from './http.js';
import { uniqueId } from './ids.js';
import type { Storage } from './storage.js';
import type { Message, NewMessage } from './wire/types.gen.js';

/** A message on its way. */
export interface Pending {
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
  pending: Pending;
  /** The server has it. */
  sent: { readonly nonce: string; readonly message: Message };
  /** It was given up by its author. */
  dropped: { readonly nonce: string; readonly chatId: number };
}

/** Sends messages, in order in each chat, until the server has each of them exactly once. */
export class Outbox extends Emitter<OutboxEvents> {
  readonly #http: Http;
  readonly #storage: Storage;
  readonly #key: string;
  readonly #waiting = new Map<number, Pending[]>();
  readonly #promises = new Map<string, { resolve(message: Message): void; reject(error: unknown): void }>();
  readonly #busy = new Set<number>();
  /** What this tab has had; what else is kept is another tab's. */
  readonly #known = new Set<string>();
  #wake = new AbortController();
  #isClosed = false;

  constructor(http: Http, storage: Storage, key: string) {
    super();
    this.#http = http;
    this.#storage = storage;
    this.#key = key;
    for (const pending of this.#load()) {
      this.#known.add(pending.nonce);
      this.#queue(pending.chatId).push(pending);
    }
  }

  /** All that is on its way, oldest first. */
  list(chatId?: number): Pending[] {
    const all = chatId === undefined ? [...this.#waiting.values()].flat() : (this.#waiting.get(chatId) ?? []);
    return all.toSorted((one, other) => one.at - other.at);
  }

  /** Sends; resolves with the message once the server has it, and rejects when it never will. */
  send(chatId: number, draft: NewMessage): Promise<Message> {
    const nonce = draft.nonce ?? uniqueId();
    const pending: Pending = { chatId, nonce, draft: { ...draft, nonce }, at: Date.now(), status: 'sending' };
    this.#known.add(nonce);
    this.#queue(chatId).push(pending);
    this.#save();
    this.emit('pending', pending);
    const sent = new Promise<Message>((resolve, reject) => this.#promises.set(nonce, { resolve, reject }));
    // Who only watches the events need not handle it too.
    sent.catch(() => {});
    void this.#work(chatId);
    return sent;
  }

  /** Tries again what failed. */
  retry(nonce: string): void {
    const pending = this.list().find((one) => one.nonce === nonce);
    if (!pending) return;
    this.#replace({ ...pending, status: 'sending' });
    void this.#work(pending.chatId);
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
    this.#wake.abort();
    this.#wake = new AbortController();
    for (const chatId of this.#waiting.keys()) void this.#work(chatId);
  }

  /** Sends no more; what waits is kept for the next time. */
  close(): void {
    this.#isClosed = true;
    this.#wake.abort();
  }

  async #work(chatId: number): Promise<void> {
    if (this.#busy.has(chatId)) return;
    this.#busy.add(chatId);
    try {
      let failures = 0;
      for (;;) {
        // What failed for good keeps its place and holds nobody up.
        const next = this.#waiting.get(chatId)?.find((one) => one.status === 'sending');
        if (!next || this.#isClosed) return;
        const outcome = await this.#post(next);
        if (outcome !== 'done') {
          await sleep(Math.max(outcome.again, pauseAfter(failures)), this.#wake.signal);
          failures += 1;
        } else {
          failures = 0;
        }
      }
    } finally {
      this.#busy.delete(chatId);
    }
  }

  /** Sends it; when not done, how long the server wants to be left alone, in milliseconds. */
  async #post(pending: Pending): Promise<'done' | { readonly again: number }> {
    try {
      const body = pending.draft;
      const message = await this.#http.request<Message>('POST', `/api/chats/${pending.chatId}/messages`, { body });
      this.#remove(pending);
      this.#promises.get(pending.nonce)?.resolve(message);
      this.#promises.delete(pending.nonce);
      this.emit('sent', { nonce: pending.nonce, message });
      return 'done';
    } catch (error) {
      if (isPassing(error)) return { again: error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0 };
      const words = error instanceof ApiError ? error.message : String(error);
      this.#replace({ ...pending, status: 'failed', error: words });
      this.#promises.get(pending.nonce)?.reject(error);
      this.#promises.delete(pending.nonce);
      return 'done';
    }
  }

  #queue(chatId: number): Pending[] {
    const queue = this.#waiting.get(chatId) ?? [];
    this.#waiting.set(chatId, queue);
    return queue;
  }

  #replace(pending: Pending): void {
    const queue = this.#queue(pending.chatId);
    const nth = queue.findIndex((one) => one.nonce === pending.nonce);
    if (nth >= 0) queue[nth] = pending;
    this.#save();
    this.emit('pending', pending);
  }

  #remove({ chatId, nonce }: Pending): void {
    const left = this.#queue(chatId).filter((one) => one.nonce !== nonce);
    if (left.length > 0) this.#waiting.set(chatId, left);
    else this.#waiting.delete(chatId);
    this.#save();
  }

  #load(): Pending[] {
    try {
      return JSON.parse(this.#storage.getItem(this.#key) ?? '[]') as Pending[];
    } catch {
      return [];
    }
  }

  #save(): void {
    const others = this.#load().filter(({ nonce }) => !this.#known.has(nonce));
    const all = [...others, ...this.list()];
    try {
      if (all.length > 0) this.#storage.setItem(this.#key, JSON.stringify(all));
      else this.#storage.removeItem(this.#key);
    } catch {
      // A full store costs what is on its way only if the page goes too.
    }
  }
}
