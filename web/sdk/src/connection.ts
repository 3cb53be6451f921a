import { computeBackoff, STABLE_AFTER_MS, sleep } from './backoff.js';
import { isAtOrBefore } from './cursor.js';
import { Emitter } from './emitter.js';
import type { GetToken } from './http.js';
import { StreamError, type Transport } from './transport.js';
import type { Event } from './wire/types.gen.js';

/** The state of a connection. */
export type ConnectionState =
  /** Not opened yet. */
  | 'idle'
  /** Opening the event stream. */
  | 'connecting'
  /** Receiving missed events. */
  | 'catching_up'
  /** Receiving live events. */
  | 'live'
  /** Waiting for the next attempt. */
  | 'waiting'
  /** The browser reports no network. */
  | 'offline'
  /** No longer signed in. */
  | 'unauthorized'
  /** Closed by the caller. */
  | 'closed';

/** A change of state. */
export interface StateChange {
  readonly from: ConnectionState;
  readonly to: ConnectionState;
  /** When the next attempt starts, in milliseconds since 1970; set while `waiting` or `offline`. */
  readonly retryAt: number | null;
}

/** The events of a connection. */
export interface ConnectionEvents {
  /** A server event. Each is emitted once, in order. */
  event: Event;
  state: StateChange;
  /** Missed events cannot be replayed: fetch the bootstrap again. */
  reset: { readonly reason: string; readonly cursor: string };
  /** An unreadable frame. The stream continues. */
  error: { readonly text: string; readonly error: unknown };
}

/** The options of a connection. */
export interface ConnectionOptions {
  readonly baseUrl: string;
  readonly getToken: GetToken;
  readonly transport: Transport;
  /** The random number generator of the backoff, replaced in tests. */
  readonly random?: () => number;
}

/** A stream without data for this long is dead, in milliseconds. The server sends a heartbeat every 15 seconds. */
const SILENCE_TIMEOUT_MS = 40_000;

/** A page that becomes visible reconnects if it received nothing for this long, in milliseconds. */
const STALE_AFTER_MS = 20_000;

/** An event stream that reconnects automatically and resumes without gaps. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  /** Aborted by `close`. */
  #closeController: AbortController | null = null;
  /** Aborted to end the delay before the next attempt. */
  #pauseController = new AbortController();
  /** Aborted to end the open stream. */
  #streamController = new AbortController();
  #lastActivityAt = 0;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The position of the last event. A reconnect resumes from here. */
  get cursor(): string | null {
    return this.#cursor;
  }

  /** Opens the connection, from a cursor if given. Idempotent. */
  open(cursor: string | null = this.#cursor): void {
    if (this.#closeController && !this.#closeController.signal.aborted) return;
    this.#cursor = cursor;
    this.#closeController = new AbortController();
    this.#watchBrowser(this.#closeController.signal);
    void this.#run(this.#closeController.signal);
  }

  /** Closes the connection until it is opened again. */
  close(): void {
    this.#closeController?.abort();
    this.#pauseController.abort();
    this.#streamController.abort();
    this.#setState('closed');
  }

  /** Drops the stream and reconnects immediately. */
  reconnect(): void {
    if (this.#state === 'unauthorized') {
      this.open();
    } else {
      this.#pauseController.abort();
      this.#streamController.abort();
    }
  }

  /** Stops retrying; `open` starts again. */
  #endUnauthorized(): void {
    this.#closeController?.abort();
    this.#setState('unauthorized');
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
        if (token === null) return this.#endUnauthorized();
        await this.#listen(token, closeSignal, (ms) => {
          retryMs = ms;
        });
        isCleanEnd = true;
        reason = 'first';
      } catch (error) {
        if (error instanceof StreamError && error.reason === 'unauthorized') {
          // A fresh token was rejected too: the session has ended.
          if (reason === 'expired') return this.#endUnauthorized();
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
        // Without a cursor nothing was missed. Otherwise the missed events or a reset follow.
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

  /** Reacts to network and page visibility changes in a browser. */
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
