import { pauseAfter, SETTLED_MS, sleep } from './backoff.js';
import { isPast } from './cursor.js';
import { Emitter } from './emitter.js';
import type { GetToken } from './http.js';
import { StreamRefused, type Transport } from './transport.js';
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
  resync: { readonly reason: string; readonly cursor: string };
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
const SILENCE_MS = 40_000;

/** A page that was hidden and comes back tries again if nothing came for so long. */
const STALE_MS = 20_000;

/** A stream that comes back by itself and misses nothing. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  /** Aborted to end everything. */
  #end: AbortController | null = null;
  /** Aborted to end a pause. */
  #wake = new AbortController();
  /** Aborted to end the stream that is open. */
  #line = new AbortController();
  #heardAt = 0;

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
    if (this.#end && !this.#end.signal.aborted) return;
    this.#cursor = cursor;
    this.#end = new AbortController();
    this.#watchTheBrowser(this.#end.signal);
    void this.#run(this.#end.signal);
  }

  /** Ends for good, until it is opened again. */
  close(): void {
    this.#end?.abort();
    this.#wake.abort();
    this.#line.abort();
    this.#become('closed');
  }

  /** Hangs up and tries again at once, as after a long sleep. */
  reconnect(): void {
    this.#wake.abort();
    this.#line.abort();
  }

  async #run(end: AbortSignal): Promise<void> {
    let failures = 0;
    let reason: 'first' | 'expired' = 'first';
    while (!end.aborted) {
      const begun = Date.now();
      this.#line = new AbortController();
      let retryMs: number | null = null;
      let isCleanEnd = false;
      try {
        this.#become('connecting');
        const token = await this.#options.getToken({ reason });
        if (end.aborted) return;
        if (token === null) return this.#become('unauthorized');
        await this.#listen(token, end, (ms) => {
          retryMs = ms;
        });
        isCleanEnd = true;
        reason = 'first';
      } catch (error) {
        if (error instanceof StreamRefused && error.reason === 'unauthorized') {
          // A fresh token that is refused too: nobody is signed in.
          if (reason === 'expired') return this.#become('unauthorized');
          reason = 'expired';
          continue;
        }
        reason = 'first';
      }
      if (end.aborted) return;
      failures = Date.now() - begun > SETTLED_MS ? 0 : failures + 1;
      const pause =
        isCleanEnd && retryMs !== null ? retryMs : pauseAfter(failures - 1, this.#options.random ?? Math.random);
      await this.#pause(this.#line.signal.aborted ? 0 : pause);
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#wake = new AbortController();
    const isOffline = globalThis.navigator?.onLine === false;
    this.#become(isOffline ? 'offline' : 'waiting', Date.now() + ms);
    await sleep(ms, this.#wake.signal);
  }

  async #listen(token: string, end: AbortSignal, onRetry: (ms: number) => void): Promise<void> {
    const line = this.#line;
    if (end.aborted) line.abort();
    this.#heardAt = Date.now();
    const watchdog = setInterval(() => {
      if (Date.now() - this.#heardAt > SILENCE_MS) line.abort();
    }, 1_000);
    try {
      await this.#options.transport({
        baseUrl: this.#options.baseUrl,
        token,
        cursor: this.#cursor,
        signal: line.signal,
        onActivity: () => {
          this.#heardAt = Date.now();
        },
        onEvent: (event) => {
          if (!line.signal.aborted) this.#hear(event);
        },
        onUnreadable: (text, error) => this.emit('error', { text, error }),
        onRetry,
      });
    } finally {
      clearInterval(watchdog);
    }
  }

  #hear(event: Event): void {
    switch (event.type) {
      case 'ready':
        // With nothing missed the stream is live; otherwise what was missed, or a reset, follows.
        if (this.#cursor === null) {
          this.#cursor = event.cursor;
          this.#become('live');
        } else {
          this.#become('catching_up');
        }
        return;
      case 'caught_up':
        this.#cursor = event.cursor;
        this.#become('live');
        return;
      case 'reset':
        this.#cursor = event.cursor;
        this.#become('live');
        this.emit('resync', { reason: event.reason, cursor: event.cursor });
        return;
    }
    if ('id' in event) {
      if (isPast(event.id, this.#cursor)) return;
      this.#cursor = event.id;
    }
    this.emit('event', event);
  }

  #become(to: ConnectionState, retryAt: number | null = null): void {
    const from = this.#state;
    if (from === to && retryAt === null) return;
    this.#state = to;
    this.emit('state', { from, to, retryAt });
  }

  /** A browser knows of the network, and of pages that wake up. */
  #watchTheBrowser(signal: AbortSignal): void {
    if (typeof globalThis.addEventListener !== 'function' || typeof document === 'undefined') return;
    const again = () => this.#wake.abort();
    const ifStale = () => {
      if (document.visibilityState !== 'visible') return;
      if (this.#state === 'waiting' || this.#state === 'offline') again();
      else if (Date.now() - this.#heardAt > STALE_MS) this.reconnect();
    };
    globalThis.addEventListener('online', again, { signal });
    globalThis.addEventListener('offline', () => this.#line.abort(), { signal });
    globalThis.addEventListener('pageshow', ifStale, { signal });
    document.addEventListener('visibilitychange', ifStale, { signal });
  }
}
