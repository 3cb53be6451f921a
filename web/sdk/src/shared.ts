import { pauseAfter, sleep } from './backoff.js';
import { Connection, type ConnectionEvents, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isPast } from './cursor.js';
import { Emitter } from './emitter.js';
import { ApiError } from './errors.js';
import { uniqueId } from './ids.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** The part of the browser's lock manager that is used. */
export interface Locks {
  /** Holds the lock while the promise of `hold` is pending. Rejects if it is not had, or taken away. */
  request(name: string, options: LockOptions, hold: () => Promise<void>): Promise<unknown>;
}

/** How a lock is asked for: waited for, or taken at once from whoever has it. */
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
      readonly by: string;
      readonly state: ConnectionState;
      readonly retryAt: number | null;
      readonly cursor: string | null;
    }
  | { readonly kind: 'event'; readonly by: string; readonly event: Event }
  | { readonly kind: 'resync'; readonly by: string; readonly reason: string; readonly cursor: string }
  | { readonly kind: 'error'; readonly by: string; readonly text: string };

type State = Extract<Word, { kind: 'state' }>;

/** How long a tab waits that could not read what it missed, in milliseconds. */
const AGAIN_MS = 1_000;

/** A leader that has said nothing for so long is asked whether it is there, in milliseconds. */
const SILENT_MS = 5_000;

/** So many events are held at most; more are read again from the log. */
const MOST_HELD = 1_000;

/** One that has not answered within this is not, in milliseconds. */
const ANSWER_MS = 3_000;

/**
 * One stream for all tabs of a browser, which allows six to a server. The tab that
 * holds the lock has the stream and tells the others; when it goes, or is put to
 * sleep, another one goes on from the last event that it heard itself. Whoever
 * learns from the leader's words that it has missed something reads it from the
 * log, and holds what is told meanwhile.
 */
export class SharedConnection extends Emitter<ConnectionEvents> {
  readonly #options: SharedOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  #end: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  /** The stream, in the tab that leads. */
  #own: Connection | null = null;
  /** Names this tab's present term in what it says. */
  #by = '';
  /** What the leader said last of where it is. */
  #leader: State | null = null;
  /** When it said anything, on the page's clock. */
  #heardAt = Number.NEGATIVE_INFINITY;
  /** What is told before this tab knows that it has missed nothing. */
  #held: Event[] | null = null;
  /** The opening for which the log is being read. */
  #readsFor: AbortSignal | null = null;
  /** Whether there is more to read than when the reading began. */
  #isBehind = false;
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
    this.#end = new AbortController();
    const { signal } = this.#end;
    this.#channel = new BroadcastChannel(this.#options.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Word, signal);
    this.#follow();
    this.#queue(signal);
    void this.#watch(signal);
    // A page that was put away has not heard what was told meanwhile.
    globalThis.addEventListener?.('pageshow', ({ persisted }) => persisted && this.#catchUp(signal), { signal });
    globalThis.document?.addEventListener('visibilitychange', () => void this.#ask(signal), { signal });
  }

  close(): void {
    this.#end?.abort();
    const own = this.#own;
    this.#own = null;
    own?.close();
    this.#channel?.close();
    this.#channel = null;
    this.#leader = null;
    this.#held = null;
    this.#become('closed');
  }

  reconnect(): void {
    if (this.#own) this.#own.reconnect();
    else this.#say({ kind: 'reconnect' });
  }

  /** Waits for this tab's turn to lead. */
  #queue(end: AbortSignal): void {
    void this.#hold({ signal: end }, end).then((outcome) => {
      if (end.aborted) return;
      if (outcome === 'lost') this.#queue(end);
      // A page may be forbidden to lock anything: it has a stream of its own.
      if (outcome === 'refused') this.#lead();
    });
  }

  /** Leads while it has the lock. */
  async #hold(options: LockOptions, end: AbortSignal): Promise<'over' | 'lost' | 'refused'> {
    let own: Connection | null = null;
    const lead = () =>
      new Promise<void>((resolve) => {
        if (end.aborted) return resolve();
        own = this.#lead();
        own.on('state', ({ to }) => to === 'closed' && resolve());
        if (own.state === 'closed') resolve();
      });
    try {
      await this.#options.locks.request(this.#options.name, options, lead);
      return 'over';
    } catch {
      if (own === null) return 'refused';
      // Asleep, while another tab took it.
      if (this.#own === own && !end.aborted) this.#step(own);
      return 'lost';
    }
  }

  /** Has the stream. */
  #lead(): Connection {
    this.#own?.close();
    const own = new Connection(this.#options);
    this.#own = own;
    this.#by = uniqueId();
    const whileOwn =
      <Told>(hear: (told: Told) => void) =>
      (told: Told) => {
        if (this.#own === own) hear(told);
      };
    own.on(
      'event',
      whileOwn((event) => {
        this.#say({ kind: 'event', by: this.#by, event });
        this.#tell(event);
      }),
    );
    own.on(
      'resync',
      whileOwn(({ reason, cursor }) => {
        this.#say({ kind: 'resync', by: this.#by, reason, cursor });
        this.#startOver(reason, cursor);
      }),
    );
    own.on(
      'error',
      whileOwn(({ text, error }) => {
        this.#say({ kind: 'error', by: this.#by, text });
        this.emit('error', { text, error });
      }),
    );
    own.on(
      'state',
      whileOwn(({ to, retryAt }) => {
        this.#cursor = own.cursor ?? this.#cursor;
        this.#say({ kind: 'state', by: this.#by, state: to, retryAt, cursor: this.#cursor });
        this.#become(to, retryAt);
      }),
    );
    // What others told and this tab still holds comes by the stream again.
    this.#held = null;
    own.open(this.#cursor);
    return own;
  }

  /** Leads no more: somebody took the lock. */
  #step(own: Connection): void {
    this.#own = null;
    own.close();
    this.#follow();
  }

  /** Hears from the leader, once it is known where that one is. */
  #follow(): void {
    this.#leader = null;
    this.#held = this.#cursor === null ? null : [];
    this.#become('connecting');
    this.#say({ kind: 'hello' });
  }

  /** Asks a leader that says nothing whether it is there. */
  async #watch(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      await this.#ask(end);
      await sleep(SILENT_MS, end);
    }
  }

  /** A page in the background may have been put to sleep, with the stream. */
  async #ask(end: AbortSignal): Promise<void> {
    const askedAt = performance.now();
    if (this.#own || this.#isAsking || end.aborted || askedAt - this.#heardAt < SILENT_MS) return;
    this.#isAsking = true;
    this.#say({ kind: 'hello' });
    await sleep(ANSWER_MS, end);
    // An answer that came while this tab was busy is heard first.
    await sleep(0, end);
    this.#isAsking = false;
    // Who slept itself cannot tell.
    const isAwake = performance.now() - askedAt < 2 * ANSWER_MS;
    if (this.#own || end.aborted || !isAwake || this.#heardAt >= askedAt) return;
    // Taken away in turn, it waits in the queue still.
    void this.#hold({ steal: true }, end);
  }

  #hear(word: Word, end: AbortSignal): void {
    if (this.#own) {
      if (word.kind === 'hello') {
        this.#say({ kind: 'state', by: this.#by, state: this.#state, retryAt: null, cursor: this.#cursor });
      }
      if (word.kind === 'reconnect') this.#own.reconnect();
      return;
    }
    if (word.kind === 'hello' || word.kind === 'reconnect') return;
    this.#heardAt = performance.now();
    switch (word.kind) {
      case 'event':
        this.#take(word.event, word.by);
        return;
      case 'resync':
        // Unless it has started over already. A log that has gone back names the same history.
        if (word.reason === 'future' || !isPast(word.cursor, this.#cursor)) this.#startOver(word.reason, word.cursor);
        return;
      case 'error':
        this.emit('error', { text: word.text, error: new Error('another tab could not read this') });
        return;
      case 'state':
        this.#leader = word;
        this.#weigh(word, end);
        return;
    }
  }

  #take(event: Event, by: string): void {
    if (this.#cursor !== null && this.#leader?.by !== by) {
      // Somebody else leads than before, and has not said where it is.
      if (!this.#held) this.#say({ kind: 'hello' });
      this.#held ??= [];
    }
    if (!this.#held) {
      this.#tell(event);
      return;
    }
    if (this.#held.length >= MOST_HELD) {
      this.#held.length = 0;
      this.#isBehind = true;
    }
    this.#held.push(event);
  }

  /** Whether what the leader tells from here on follows what this tab has heard. */
  #weigh({ state, cursor }: State, end: AbortSignal): void {
    if (this.#cursor === null) {
      // From the present, wherever that is.
      if (state === 'live') this.#cursor = cursor;
    } else if (cursor === null) {
      // It does not know itself.
      this.#held ??= [];
    } else if (isPast(cursor, this.#cursor)) {
      this.#release(end);
    } else {
      this.#catchUp(end);
    }
    this.#keepUp();
  }

  /** Is where the leader is, unless something is missing still. */
  #keepUp(): void {
    if (!this.#leader) return;
    const { state, retryAt } = this.#leader;
    // Live is who has heard everything.
    this.#become(this.#held && state === 'live' ? 'catching_up' : state, retryAt);
  }

  #catchUp(end: AbortSignal): void {
    if (this.#own || end.aborted || this.#cursor === null) return;
    this.#held ??= [];
    this.#isBehind = true;
    if (!this.#isReading()) void this.#read(end);
  }

  #isReading(): boolean {
    return this.#readsFor !== null && this.#readsFor === this.#end?.signal;
  }

  /** Reads what was missed from the log, and then tells what was told meanwhile. */
  async #read(end: AbortSignal): Promise<void> {
    this.#readsFor = end;
    this.#become('catching_up');
    let failures = 0;
    while (this.#isBehind && this.#cursor !== null && !end.aborted) {
      this.#isBehind = false;
      const asked = this.#cursor;
      try {
        const page: EventPage = await this.#options.eventsAfter(asked);
        // Who leads now is brought up by the stream.
        if (this.#own || end.aborted) break;
        // If not, it has led meanwhile, or started over.
        const isDue = this.#cursor === asked;
        this.#isBehind ||= page.more || !isDue;
        if (!isDue) continue;
        if (page.more && page.cursor === asked) throw new TypeError('a page that is not the last leads on');
        for (const event of page.events) if (!end.aborted) this.#tell(event);
        if (end.aborted) break;
        this.#cursor = page.cursor;
        failures = 0;
      } catch (error) {
        if (this.#own || end.aborted) break;
        if (error instanceof ApiError && error.code === 'reset') {
          if (this.#cursor === asked) this.#startOver('retention', this.#leader?.cursor ?? asked);
          break;
        }
        // Nothing is told out of order: it is held until the gap is closed.
        this.#isBehind = true;
        const asks = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
        const pause = Math.max(AGAIN_MS, asks, pauseAfter(failures, this.#options.random));
        failures += 1;
        this.#become('waiting', Date.now() + pause);
        await sleep(pause, end);
      }
    }
    if (this.#readsFor === end) this.#readsFor = null;
    if (this.#own || end.aborted) return;
    this.#release(end);
    this.#keepUp();
  }

  /** Tells what was held, once nothing is missing before it. */
  #release(end: AbortSignal): void {
    if (this.#isReading() || !this.#leader) return;
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) if (!end.aborted) this.#tell(event);
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
    // It belongs to what was before.
    if (this.#held) this.#held = [];
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
