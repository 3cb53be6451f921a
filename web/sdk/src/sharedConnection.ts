import { sleep } from './backoff.js';
import { Connection, type ConnectionEvents, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isAtOrBefore } from './cursor.js';
import { Emitter } from './emitter.js';
import { Follower } from './follower.js';
import { uniqueId } from './ids.js';
import { LeaderElection, type Locks } from './leaderElection.js';
import type { FollowerRequest, LeaderMessage } from './tabProtocol.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** What a shared connection is made of. */
export interface SharedConnectionOptions extends ConnectionOptions {
  /** One connection for all who give the same name: a person's id belongs in it. */
  readonly name: string;
  readonly locks: Locks;
  /** A page of the log after a cursor. */
  readonly fetchEventsAfter: (cursor: string) => Promise<EventPage>;
}

/** A leader that has said nothing for so long is asked whether it is there, in milliseconds. */
const LEADER_SILENCE_MS = 5_000;

/** One that has not answered within this is not, in milliseconds. */
const LEADER_REPLY_TIMEOUT_MS = 3_000;

/**
 * One stream for all tabs of a browser, which allows six to a server. The tab whose
 * turn it is has the stream and tells the others; when it goes, or is put to sleep,
 * another one goes on from the last event that it heard itself.
 */
export class SharedConnection extends Emitter<ConnectionEvents> {
  readonly #options: SharedConnectionOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  #closeController: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  #election: LeaderElection | null = null;
  /** The stream, in the tab that leads. */
  #ownConnection: Connection | null = null;
  /** Names its term. */
  #termId = '';
  /** In a tab that does not lead. */
  #follower: Follower | null = null;
  /** When the leader said anything, on the page's clock. */
  #lastMessageAt = Number.NEGATIVE_INFINITY;
  #isProbing = false;

  constructor(options: SharedConnectionOptions) {
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
  get isLeader(): boolean {
    return this.#ownConnection !== null;
  }

  open(cursor: string | null = this.#cursor): void {
    if (this.#closeController && !this.#closeController.signal.aborted) return;
    this.#cursor = cursor;
    this.#closeController = new AbortController();
    const { signal } = this.#closeController;
    const { locks, name } = this.#options;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#handleMessage(data as LeaderMessage | FollowerRequest);
    this.#becomeFollower();
    this.#election = new LeaderElection({
      locks,
      name,
      closeSignal: signal,
      onElected: () => this.#becomeLeader(),
      onDeposed: (deposed) => this.#ownConnection === deposed && this.#becomeFollower(),
    });
    void this.#election.run();
    void this.#watchLeader(signal);
    // A page that was put away has not heard what was told meanwhile.
    globalThis.addEventListener?.('pageshow', ({ persisted }) => persisted && this.#follower?.catchUp(), { signal });
    globalThis.document?.addEventListener('visibilitychange', () => void this.#probeLeader(signal), { signal });
  }

  close(): void {
    this.#closeController?.abort();
    this.#stop();
    this.#channel?.close();
    this.#channel = null;
    this.#setState('closed');
  }

  reconnect(): void {
    if (this.#ownConnection) this.#ownConnection.reconnect();
    else this.#broadcast({ kind: 'reconnect' });
  }

  /** Neither leads nor follows. */
  #stop(): void {
    const connection = this.#ownConnection;
    this.#ownConnection = null;
    connection?.close();
    this.#follower?.close();
    this.#follower = null;
  }

  /** Has the stream. */
  #becomeLeader(): Connection {
    this.#stop();
    const connection = new Connection(this.#options);
    this.#ownConnection = connection;
    this.#termId = uniqueId();
    const whileLeader =
      <Payload>(handler: (payload: Payload) => void) =>
      (payload: Payload) => {
        if (this.#ownConnection === connection) handler(payload);
      };
    connection.on(
      'event',
      whileLeader((event) => {
        this.#broadcast({ kind: 'event', termId: this.#termId, event });
        this.#emitEvent(event);
      }),
    );
    connection.on(
      'reset',
      whileLeader(({ reason, cursor }) => {
        this.#broadcast({ kind: 'reset', termId: this.#termId, reason, cursor });
        this.#reset(reason, cursor);
      }),
    );
    connection.on(
      'error',
      whileLeader(({ text, error }) => {
        this.#broadcast({ kind: 'error', termId: this.#termId, text });
        this.emit('error', { text, error });
      }),
    );
    connection.on(
      'state',
      whileLeader(({ to, retryAt }) => {
        this.#cursor = connection.cursor ?? this.#cursor;
        this.#broadcastState(to, retryAt);
        this.#setState(to, retryAt);
      }),
    );
    connection.open(this.#cursor);
    return connection;
  }

  #becomeFollower(): void {
    this.#stop();
    this.#follower = new Follower({
      getCursor: () => this.#cursor,
      setCursor: (cursor) => {
        this.#cursor = cursor;
      },
      emitEvent: (event) => this.#emitEvent(event),
      reset: (reason, cursor) => this.#reset(reason, cursor),
      emitError: (text) => this.emit('error', { text, error: new Error('another tab could not read this') }),
      setState: (state, retryAt) => this.#setState(state, retryAt),
      requestLeaderState: () => this.#broadcast({ kind: 'hello' }),
      fetchEventsAfter: this.#options.fetchEventsAfter,
      random: this.#options.random,
    });
  }

  /** Asks a leader that says nothing whether it is there. */
  async #watchLeader(closeSignal: AbortSignal): Promise<void> {
    while (!closeSignal.aborted) {
      await this.#probeLeader(closeSignal);
      await sleep(LEADER_SILENCE_MS, closeSignal);
    }
  }

  /** A page in the background may have been put to sleep, with the stream. */
  async #probeLeader(closeSignal: AbortSignal): Promise<void> {
    const probedAt = performance.now();
    if (
      this.#ownConnection ||
      this.#isProbing ||
      closeSignal.aborted ||
      probedAt - this.#lastMessageAt < LEADER_SILENCE_MS
    )
      return;
    this.#isProbing = true;
    this.#broadcast({ kind: 'hello' });
    await sleep(LEADER_REPLY_TIMEOUT_MS, closeSignal);
    // An answer that came while this tab was busy is heard first.
    await sleep(0, closeSignal);
    this.#isProbing = false;
    // Who slept itself cannot tell.
    const isAwake = performance.now() - probedAt < 2 * LEADER_REPLY_TIMEOUT_MS;
    if (this.#ownConnection || closeSignal.aborted || !isAwake || this.#lastMessageAt >= probedAt) return;
    void this.#election?.stealLock();
  }

  #handleMessage(message: LeaderMessage | FollowerRequest): void {
    switch (message.kind) {
      case 'hello':
        if (this.#ownConnection) this.#broadcastState(this.#state, null);
        return;
      case 'reconnect':
        this.#ownConnection?.reconnect();
        return;
      default:
        this.#lastMessageAt = performance.now();
        this.#follower?.handleMessage(message);
    }
  }

  #broadcastState(state: ConnectionState, retryAt: number | null): void {
    this.#broadcast({ kind: 'state', termId: this.#termId, state, retryAt, cursor: this.#cursor });
  }

  #emitEvent(event: Event): void {
    if ('id' in event) {
      if (isAtOrBefore(event.id, this.#cursor)) return;
      this.#cursor = event.id;
    }
    this.emit('event', event);
  }

  #reset(reason: string, cursor: string): void {
    this.#cursor = cursor;
    this.emit('reset', { reason, cursor });
  }

  #broadcast(message: LeaderMessage | FollowerRequest): void {
    this.#channel?.postMessage(message);
  }

  #setState(to: ConnectionState, retryAt: number | null = null): void {
    const from = this.#state;
    if (from === to && retryAt === null) return;
    this.#state = to;
    this.emit('state', { from, to, retryAt });
  }
}
