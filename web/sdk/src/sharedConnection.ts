import { sleep } from './backoff.js';
import { Connection, type ConnectionEvents, type ConnectionOptions, type ConnectionState } from './connection.js';
import { isAtOrBefore } from './cursor.js';
import { Emitter } from './emitter.js';
import { Follower } from './follower.js';
import { uniqueId } from './ids.js';
import { LeaderElection, type Locks } from './leaderElection.js';
import type { FollowerRequest, LeaderMessage } from './tabProtocol.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** The options of a shared connection. */
export interface SharedConnectionOptions extends ConnectionOptions {
  /** Tabs with the same name share a connection. It must contain the user's id. */
  readonly name: string;
  readonly locks: Locks;
  /** Fetches a page of the event log after a cursor. */
  readonly fetchEventsAfter: (cursor: string) => Promise<EventPage>;
}

/** A leader that has sent nothing for this long is probed, in milliseconds. */
const LEADER_SILENCE_MS = 5_000;

/** A leader that does not reply within this time is replaced, in milliseconds. */
const LEADER_REPLY_TIMEOUT_MS = 3_000;

/**
 * One connection for all tabs of a browser, because browsers allow six per server. The
 * leader tab owns the connection and broadcasts to the others. When it closes or is
 * suspended, another tab resumes from the last event that it has received itself.
 */
export class SharedConnection extends Emitter<ConnectionEvents> {
  readonly #options: SharedConnectionOptions;
  #state: ConnectionState = 'idle';
  #cursor: string | null = null;
  #closeController: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  #election: LeaderElection | null = null;
  /** The connection, in the leader tab. */
  #ownConnection: Connection | null = null;
  /** Identifies this tab's term as leader. */
  #termId = '';
  /** The follower, in every other tab. */
  #follower: Follower | null = null;
  /** When the leader last sent a message, on the page's clock. */
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

  /** Whether this tab owns the connection. */
  get isLeader(): boolean {
    return this.#ownConnection !== null;
  }

  open(cursor: string | null = this.#cursor): void {
    if (this.#closeController && !this.#closeController.signal.aborted) {
      if (this.#state === 'unauthorized') this.reconnect();
      return;
    }
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
    // A page restored from the back-forward cache has missed messages.
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

  /** Stops leading and following. */
  #stop(): void {
    const connection = this.#ownConnection;
    this.#ownConnection = null;
    connection?.close();
    this.#follower?.close();
    this.#follower = null;
  }

  /** Opens the connection and broadcasts its events. */
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
      emitError: (text) => this.emit('error', { text, error: new Error('the leader tab could not read this frame') }),
      setState: (state, retryAt) => this.#setState(state, retryAt),
      requestLeaderState: () => this.#broadcast({ kind: 'hello' }),
      fetchEventsAfter: this.#options.fetchEventsAfter,
      random: this.#options.random,
    });
  }

  /** Probes a silent leader at intervals. */
  async #watchLeader(closeSignal: AbortSignal): Promise<void> {
    while (!closeSignal.aborted) {
      await this.#probeLeader(closeSignal);
      await sleep(LEADER_SILENCE_MS, closeSignal);
    }
  }

  /** Replaces a leader that does not reply. The browser may have suspended its tab. */
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
    // Let a reply that arrived while this tab was busy be handled first.
    await sleep(0, closeSignal);
    this.#isProbing = false;
    // If this tab was suspended itself, the probe is inconclusive.
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
