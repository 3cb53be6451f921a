import { sleep } from './backoff.js';
import { Connection, type ConnectionEvents, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isPast } from './cursor.js';
import { Emitter } from './emitter.js';
import { ApiError } from './errors.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** The part of the browser's lock manager that is used. */
export interface Locks {
  request(name: string, options: LockOptions, hold: () => Promise<void>): Promise<unknown>;
}

/** How a lock is asked for: waited for, or taken from whoever has it. */
export interface LockOptions {
  readonly signal?: AbortSignal;
  readonly steal?: boolean;
}

/** What a shared connection is made of. */
export interface SharedOptions extends ConnectionOptions {
  /** One connection for all who give the same name: a person's id belongs in it. */
  readonly name: string;
  readonly locks: Locks;
  /** A page of the log after a cursor. */
  readonly eventsAfter: (cursor: string) => Promise<EventPage>;
}

/** What the tabs tell each other. */
type Word =
  | { readonly kind: 'hello' }
  | { readonly kind: 'reconnect' }
  | {
      readonly kind: 'state';
      readonly state: ConnectionState;
      readonly retryAt: number | null;
      readonly cursor: string | null;
    }
  | { readonly kind: 'event'; readonly event: Event }
  | { readonly kind: 'resync'; readonly reason: string; readonly cursor: string }
  | { readonly kind: 'error'; readonly text: string };

/** How long a tab waits that could not read what it missed, in milliseconds. */
const AGAIN_MS = 1_000;

/** A leader that has said nothing for so long is asked whether it is there, in milliseconds. */
const SILENT_MS = 5_000;

/** One that has not answered within this is not, in milliseconds. */
const ANSWER_MS = 3_000;

/**
 * One stream for all tabs of a browser, which allows six to a server. The tab that
 * holds the lock has the stream and tells the others; when it goes, or is put to
 * sleep, the next one goes on from the last event that it heard itself.
 */
export class SharedConnection extends Emitter<ConnectionEvents> {
  readonly #options: SharedOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  #end: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  /** The stream, in the tab that leads. */
  #own: Connection | null = null;
  /** What is told before this tab has read what it missed. */
  #held: Event[] | null = null;
  #isReading = false;
  /** When anything of the leader's was heard, in milliseconds since 1970. */
  #heardAt = 0;
  #isAsking = false;

  constructor(options: SharedOptions) {
    super();
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get cursor(): string | null {
    return this.#cursor;
  }

  /** Whether this tab has the stream. */
  get leads(): boolean {
    return this.#own !== null;
  }

  open(cursor: string | null = this.#cursor): void {
    if (this.#end && !this.#end.signal.aborted) return;
    this.#cursor = cursor;
    const end = new AbortController();
    this.#end = end;
    const { signal } = end;
    this.#channel = new BroadcastChannel(this.#options.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Word);
    this.#queue(signal);
    // A page that was put away has not heard what was told meanwhile.
    globalThis.addEventListener?.('pageshow', () => void this.#catchUp(), { signal });
    globalThis.document?.addEventListener('visibilitychange', () => void this.#ask(signal), { signal });
    void this.#watch(signal);
  }

  close(): void {
    this.#end?.abort();
    this.#own?.close();
    this.#own = null;
    this.#channel?.close();
    this.#channel = null;
    this.#become('closed');
  }

  reconnect(): void {
    if (this.#own) this.#own.reconnect();
    else this.#say({ kind: 'reconnect' });
  }

  /** Follows, until it is this tab's turn to lead. */
  #queue(end: AbortSignal): void {
    // The leader may be ahead of this cursor, or behind it.
    this.#held = this.#cursor === null ? null : [];
    this.#isReading = false;
    this.#become('connecting');
    this.#say({ kind: 'hello' });
    this.#request({ signal: end }, end);
  }

  #request(options: LockOptions, end: AbortSignal): void {
    const { locks, name } = this.#options;
    let isHeld = false;
    const hold = () => {
      isHeld = true;
      return this.#lead(end);
    };
    locks.request(name, options, hold).catch(() => {
      // Closed before it was this tab's turn; or asleep, while another tab took it.
      if (isHeld && !end.aborted) this.#step(end);
    });
  }

  /** Leads no more. */
  #step(end: AbortSignal): void {
    const own = this.#own;
    this.#own = null;
    own?.close();
    this.#queue(end);
  }

  /** Asks a leader that says nothing whether it is there. A page in the background may have been put to sleep. */
  async #watch(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      await sleep(SILENT_MS, end);
      await this.#ask(end);
    }
  }

  async #ask(end: AbortSignal): Promise<void> {
    const isSilent = Date.now() - this.#heardAt >= SILENT_MS;
    if (this.#isAsking || this.#own || end.aborted || !isSilent || isHidden()) return;
    this.#isAsking = true;
    const askedAt = Date.now();
    this.#say({ kind: 'hello' });
    await sleep(ANSWER_MS, end);
    this.#isAsking = false;
    if (!this.#own && !end.aborted && this.#heardAt < askedAt) this.#request({ steal: true }, end);
  }

  /** Has the stream until this tab goes. */
  #lead(end: AbortSignal): Promise<void> {
    const own = new Connection(this.#options);
    this.#own = own;
    own.on('event', (event) => {
      this.#say({ kind: 'event', event });
      this.#tell(event);
    });
    own.on('resync', ({ reason, cursor }) => {
      this.#say({ kind: 'resync', reason, cursor });
      this.#startOver(reason, cursor);
    });
    own.on('error', ({ text, error }) => {
      this.#say({ kind: 'error', text });
      this.emit('error', { text, error });
    });
    own.on('state', ({ to, retryAt }) => {
      if (end.aborted || this.#own !== own) return;
      this.#cursor = own.cursor ?? this.#cursor;
      this.#say({ kind: 'state', state: to, retryAt, cursor: this.#cursor });
      this.#become(to, retryAt);
    });
    // What others told and this tab still holds comes by the stream again.
    this.#held = null;
    own.open(this.#cursor);
    return new Promise((resolve) => {
      if (end.aborted) resolve();
      else end.addEventListener('abort', () => resolve());
    });
  }

  #hear(word: Word): void {
    if (this.#own) {
      if (word.kind === 'hello') {
        this.#say({ kind: 'state', state: this.#state, retryAt: null, cursor: this.#cursor });
      }
      if (word.kind === 'reconnect') this.#own.reconnect();
      return;
    }
    if (word.kind !== 'hello' && word.kind !== 'reconnect') this.#heardAt = Date.now();
    switch (word.kind) {
      case 'event':
        if (this.#held) this.#held.push(word.event);
        else this.#tell(word.event);
        return;
      case 'resync':
        this.#startOver(word.reason, word.cursor);
        return;
      case 'error':
        this.emit('error', { text: word.text, error: new Error('another tab could not read this') });
        return;
      case 'state':
        void this.#follow(word.state, word.retryAt, word.cursor);
        return;
    }
  }

  /** Is where the leader is, once it has heard what the leader has. */
  async #follow(state: ConnectionState, retryAt: number | null, cursor: string | null): Promise<void> {
    const isNew = this.#state === 'connecting';
    if (isNew && state === 'live') {
      if (this.#cursor === null) {
        this.#cursor = cursor;
      } else {
        this.#become('catching_up');
        await this.#catchUp();
      }
    }
    // The leader has gone meanwhile, or this tab leads itself.
    if (this.#own || this.#end?.signal.aborted) return;
    if (!isNew || state === 'live' || state === 'unauthorized') this.#become(state, retryAt);
  }

  /**
   * Reads what was missed from the log, and then tells what was told meanwhile. A
   * tab that begins to lead is brought up by the stream instead.
   */
  async #catchUp(): Promise<void> {
    const end = this.#end?.signal;
    if (!end || this.#own || this.#isReading || this.#cursor === null) return;
    this.#isReading = true;
    this.#held ??= [];
    while (!end.aborted) {
      try {
        const page: EventPage = await this.#options.eventsAfter(this.#cursor);
        // Who leads now is brought up by the stream.
        if (this.#own || end.aborted) break;
        for (const event of page.events) this.#tell(event);
        this.#cursor = page.cursor;
        if (page.events.length === 0) break;
      } catch (error) {
        if (error instanceof ApiError && error.code === 'reset') {
          this.#startOver('retention', this.#cursor);
          break;
        }
        // Nothing is told out of order: it is held until the gap is closed.
        await sleep(AGAIN_MS, end);
      }
    }
    if (end.aborted) return;
    this.#isReading = false;
    const held = this.#own ? [] : (this.#held ?? []);
    this.#held = null;
    for (const event of held) this.#tell(event);
  }

  #tell(event: Event): void {
    if ('id' in event) {
      if (isPast(event.id, this.#cursor)) return;
      this.#cursor = event.id;
    }
    this.emit('event', event);
  }

  #startOver(reason: string, cursor: string): void {
    this.#cursor = cursor;
    this.emit('resync', { reason, cursor });
  }

  #say(word: Word): void {
    this.#channel?.postMessage(word);
  }

  #become(to: ConnectionState, retryAt: number | null = null): void {
    const from = this.#state;
    if (from === to && retryAt === null) return;
    this.#state = to;
    this.emit('state', { from, to, retryAt });
  }
}

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}
