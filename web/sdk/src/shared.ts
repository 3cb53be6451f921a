import { sleep } from './backoff.js';
import { Connection, type ConnectionEvents, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isPast } from './cursor.js';
import { Emitter } from './emitter.js';
import { Follower } from './follower.js';
import { uniqueId } from './ids.js';
import type { Report, Request } from './tabs.js';
import { type Locks, Turn } from './turn.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** What a shared connection is made of. */
export interface SharedOptions extends ConnectionOptions {
  /** One connection for all who give the same name: a person's id belongs in it. */
  readonly name: string;
  readonly locks: Locks;
  /** A page of the log after a cursor. */
  readonly eventsAfter: (cursor: string) => Promise<EventPage>;
}

/** A leader that has said nothing for so long is asked whether it is there, in milliseconds. */
const SILENT_MS = 5_000;

/** One that has not answered within this is not, in milliseconds. */
const ANSWER_MS = 3_000;

/**
 * One stream for all tabs of a browser, which allows six to a server. The tab whose
 * turn it is has the stream and tells the others; when it goes, or is put to sleep,
 * another one goes on from the last event that it heard itself.
 */
export class SharedConnection extends Emitter<ConnectionEvents> {
  readonly #options: SharedOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  #end: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  #turn: Turn | null = null;
  /** The stream, in the tab that leads. */
  #own: Connection | null = null;
  /** Names its term. */
  #by = '';
  /** In a tab that does not lead. */
  #follower: Follower | null = null;
  /** When the leader said anything, on the page's clock. */
  #heardAt = Number.NEGATIVE_INFINITY;
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
    const { locks, name } = this.#options;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Report | Request);
    this.#follow();
    this.#turn = new Turn({
      locks,
      name,
      end: signal,
      lead: () => this.#lead(),
      yield: (own) => this.#own === own && this.#follow(),
    });
    void this.#turn.wait();
    void this.#watch(signal);
    // A page that was put away has not heard what was told meanwhile.
    globalThis.addEventListener?.('pageshow', ({ persisted }) => persisted && this.#follower?.catchUp(), { signal });
    globalThis.document?.addEventListener('visibilitychange', () => void this.#ask(signal), { signal });
  }

  close(): void {
    this.#end?.abort();
    this.#leave();
    this.#channel?.close();
    this.#channel = null;
    this.#become('closed');
  }

  reconnect(): void {
    if (this.#own) this.#own.reconnect();
    else this.#say({ kind: 'reconnect' });
  }

  /** Neither leads nor follows. */
  #leave(): void {
    const own = this.#own;
    this.#own = null;
    own?.close();
    this.#follower?.end();
    this.#follower = null;
  }

  /** Has the stream. */
  #lead(): Connection {
    this.#leave();
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
        this.#report(to, retryAt);
        this.#become(to, retryAt);
      }),
    );
    own.open(this.#cursor);
    return own;
  }

  #follow(): void {
    this.#leave();
    this.#follower = new Follower({
      cursor: () => this.#cursor,
      move: (cursor) => {
        this.#cursor = cursor;
      },
      tell: (event) => this.#tell(event),
      startOver: (reason, cursor) => this.#startOver(reason, cursor),
      fail: (text) => this.emit('error', { text, error: new Error('another tab could not read this') }),
      become: (state, retryAt) => this.#become(state, retryAt),
      greet: () => this.#say({ kind: 'hello' }),
      eventsAfter: this.#options.eventsAfter,
      random: this.#options.random,
    });
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
    void this.#turn?.take();
  }

  #hear(word: Report | Request): void {
    switch (word.kind) {
      case 'hello':
        if (this.#own) this.#report(this.#state, null);
        return;
      case 'reconnect':
        this.#own?.reconnect();
        return;
      default:
        this.#heardAt = performance.now();
        this.#follower?.hear(word);
    }
  }

  #report(state: ConnectionState, retryAt: number | null): void {
    this.#say({ kind: 'state', by: this.#by, state, retryAt, cursor: this.#cursor });
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

  #say(word: Report | Request): void {
    this.#channel?.postMessage(word);
  }

  #become(to: ConnectionState, retryAt: number | null = null): void {
    const from = this.#state;
    if (from === to && retryAt === null) return;
    this.#state = to;
    this.emit('state', { from, to, retryAt });
  }
}
