import { computeBackoff, STABLE_AFTER_MS, sleep } from './backoff.js';
import { isAtOrBefore } from './cursor.js';
import { Emitter } from './emitter.js';
import type { GetToken } from './http.js';
import { StreamError, type Transport } from './transport.js';
import type { Event } from './wire/types.gen.js';

/** Where a connection stands. */
export type ConnectionState =
  /** Not asked for yet. */
  | 'idle'
  /** Opening a stream. */
  | 'connecting'
  /** Hearing what was missed. */
  | 'catching_up'
  /** Hearing what happens. */
  | 'live'
  /** Between two tries. */
  | 'waiting'
  /** The browser says that there is no network. */
  | 'offline'
  /** Nobody is signed in any more. */
  | 'unauthorized'
  /** Ended on purpose. */
  | 'closed';

/** A change of state. */
export interface StateChange {
  readonly from: ConnectionState;
  readonly to: ConnectionState;
  /** When the next try begins, in milliseconds since 1970, while `waiting`. */
  readonly retryAt: number | null;
}

/** What a connection tells. */
export interface ConnectionEvents {
  /** An event of the stream, each once, in order. */
  event: Event;
  state: StateChange;
  /** What was missed cannot be told: fetch the first screen again. */
  reset: { readonly reason: string; readonly cursor: string };
  /** Something that could not be read; the stream goes on. */
  error: { readonly text: string; readonly error: unknown };
}

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly baseUrl: string;
  readonly getToken: GetToken;
  readonly transport: Transport;
  /** For tests. */
  readonly random?: () => number;
}

/** Nothing at all for so long means that the line is dead; the server speaks every 15 seconds. */
const SILENCE_TIMEOUT_MS = 40_000;

/** A page that was hidden and comes back tries again if nothing came for so long. */
const STALE_AFTER_MS = 20_000;

/** A stream that comes back by itself and misses nothing. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  /** Aborted to end everything. */
  #closeController: AbortController | null = null;
  /** Aborted to end a pause. */
  #pauseController = new AbortController();
  /** Aborted to end the stream that is open. */
  #streamController = new AbortController();
  #lastActivityAt = 0;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The position after the last event; goes on from here after any break. */
  get cursor(): string | null {
    return this.#cursor;
  }

  /** Begins, from a cursor if there is one. Once more is nothing. */
  open(cursor: string | null = this.#cursor): void {
    if (this.#closeController && !this.#closeController.signal.aborted) return;
    this.#cursor = cursor;
    this.#closeController = new AbortController();
    this.#watchBrowser(this.#closeController.signal);
    void this.#run(this.#closeController.signal);
  }

  /** Ends for good, until it is opened again. */
  close(): void {
    this.#closeController?.abort();
    this.#pauseController.abort();
    this.#streamController.abort();
    this.#setState('closed');
  }

  /** Hangs up and tries again at once, as after a long sleep. */
  reconnect(): void {
    this.#pauseController.abort();
    this.#streamController.abort();
  }

  async #run(closeSignal: AbortSignal): Promise<void> {
    let failures = 0;
    let reason: 'first' | 'expired' = 'first';
    while (!closeSignal.aborted) {
      const startedAt = Date.now();
      this.#streamController = new AbortController();
      let retryMs: number | null = null;
      let isCleanEnd = false;
      try {
        this.#setState('connecting');
        const token = await this.#options.getToken({ reason });
        if (closeSignal.aborted) return;
        if (token === null) return this.#setState('unauthorized');
        await this.#listen(token, closeSignal, (ms) => {
          retryMs = ms;
        });
        isCleanEnd = true;
        reason = 'first';
      } catch (error) {
        if (error instanceof StreamError && error.reason === 'unauthorized') {
          // A fresh token that is refused too: nobody is signed in.
          if (reason === 'expired') return this.#setState('unauthorized');
          reason = 'expired';
          continue;
        }
        reason = 'first';
      }
      if (closeSignal.aborted) return;
      failures = Date.now() - startedAt > STABLE_AFTER_MS ? 0 : failures + 1;
      const delay =
        isCleanEnd && retryMs !== null ? retryMs : computeBackoff(failures - 1, this.#options.random ?? Math.random);
      await this.#pause(this.#streamController.signal.aborted ? 0 : delay);
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#pauseController = new AbortController();
    const isOffline = globalThis.navigator?.onLine === false;
    this.#setState(isOffline ? 'offline' : 'waiting', Date.now() + ms);
    await sleep(ms, this.#pauseController.signal);
  }

  async #listen(token: string, closeSignal: AbortSignal, onRetry: (ms: number) => void): Promise<void> {
    const controller = this.#streamController;
    if (closeSignal.aborted) controller.abort();
    this.#lastActivityAt = Date.now();
    const watchdog = setInterval(() => {
      if (Date.now() - this.#lastActivityAt > SILENCE_TIMEOUT_MS) controller.abort();
    }, 1_000);
    try {
      await this.#options.transport({
        baseUrl: this.#options.baseUrl,
        token,
        cursor: this.#cursor,
        signal: controller.signal,
        onActivity: () => {
          this.#lastActivityAt = Date.now();
        },
        onEvent: (event) => {
          if (!controller.signal.aborted) this.#handleEvent(event);
        },
        onUnreadable: (text, error) => this.emit('error', { text, error }),
        onRetry,
      });
    } finally {
      clearInterval(watchdog);
    }
  }

  #handleEvent(event: Event): void {
    switch (event.type) {
      case 'ready':
        // With nothing missed the stream is live; otherwise what was missed, or a reset, follows.
        if (this.#cursor === null) {
          this.#cursor = event.cursor;
          this.#setState('live');
        } else {
          this.#setState('catching_up');
        }
        return;
      case 'caught_up':
        this.#cursor = event.cursor;
        this.#setState('live');
        return;
      case 'reset':
        this.#cursor = event.cursor;
        this.#setState('live');
        this.emit('reset', { reason: event.reason, cursor: event.cursor });
        return;
    }
    if ('id' in event) {
      if (isAtOrBefore(event.id, this.#cursor)) return;
      this.#cursor = event.id;
    }
    this.emit('event', event);
  }

  #setState(to: ConnectionState, retryAt: number | null = null): void {
    const from = this.#state;
    if (from === to && retryAt === null) return;
    this.#state = to;
    this.emit('state', { from, to, retryAt });
  }

  /** A browser knows of the network, and of pages that wake up. */
  #watchBrowser(signal: AbortSignal): void {
    if (typeof globalThis.addEventListener !== 'function' || typeof document === 'undefined') return;
    const retryNow = () => this.#pauseController.abort();
    const onVisible = () => {
      if (document.visibilityState !== 'visible') return;
      if (this.#state === 'waiting' || this.#state === 'offline') retryNow();
      else if (Date.now() - this.#lastActivityAt > STALE_AFTER_MS) this.reconnect();
    };
    globalThis.addEventListener('online', retryNow, { signal });
    globalThis.addEventListener('offline', () => this.#streamController.abort(), { signal });
    globalThis.addEventListener('pageshow', onVisible, { signal });
    document.addEventListener('visibilitychange', onVisible, { signal });
  }
}
