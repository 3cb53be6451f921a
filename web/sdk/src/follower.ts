import { computeBackoff, sleep } from './backoff.js';
import type { ConnectionState } from './connection.js';
import { isAtOrBefore } from './cursor.js';
import { ApiError } from './errors.js';
import type { LeaderMessage, LeaderState } from './tabProtocol.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** What a follower works on: what its tab has heard so far, and who hears of it. */
export interface FollowerOptions {
  /** After the last event that was told. */
  getCursor(): string | null;
  /** Moves on without an event. */
  setCursor(cursor: string): void;
  /** Tells an event, unless it was told, and moves on. */
  emitEvent(event: Event): void;
  /** What was missed cannot be told. */
  reset(reason: string, cursor: string): void;
  emitError(text: string): void;
  setState(state: ConnectionState, retryAt?: number | null): void;
  /** Asks the leader where it is. */
  requestLeaderState(): void;
  /** A page of the log after a cursor. */
  fetchEventsAfter(cursor: string): Promise<EventPage>;
  readonly random?: (() => number) | undefined;
}

/** How long at least to wait before the log is read again that could not be, in milliseconds. */
const MIN_RETRY_DELAY_MS = 1_000;

/** So many events are held at most; more are read again from the log. */
const MAX_BUFFERED_EVENTS = 1_000;

/**
 * Hears from the tab that has the stream, from when it begins to follow until it
 * ends. It holds what is told until it knows from the leader's words that it has
 * missed nothing; what it has missed it reads from the log first.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #closeController = new AbortController();
  /** What the leader said last of where it is. */
  #leaderState: LeaderState | null = null;
  /** What is told before this tab knows that it has missed nothing. */
  #buffer: Event[] | null;
  #isReading = false;
  /** Whether there is more to read than when the reading began. */
  #isBehind = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#buffer = options.getCursor() === null ? null : [];
    options.setState('connecting');
    options.requestLeaderState();
  }

  /** Hears and tells no more. */
  close(): void {
    this.#closeController.abort();
  }

  /** Hears the leader. */
  handleMessage(message: LeaderMessage): void {
    const { getCursor, reset, emitError } = this.#options;
    switch (message.kind) {
      case 'event':
        this.#handleEvent(message.event, message.termId);
        return;
      case 'reset':
        // Unless it has started over already. A log that has gone back names the same history.
        if (message.reason !== 'future' && isAtOrBefore(message.cursor, getCursor())) return;
        // What is held belongs to what was before.
        if (this.#buffer) this.#buffer = [];
        reset(message.reason, message.cursor);
        return;
      case 'error':
        emitError(message.text);
        return;
      case 'state':
        this.#leaderState = message;
        this.#compareWithLeader(message);
        return;
    }
  }

  /** Reads what was missed, if anything was. */
  catchUp(): void {
    if (this.#closeController.signal.aborted || this.#options.getCursor() === null) return;
    this.#buffer ??= [];
    this.#isBehind = true;
    if (!this.#isReading) void this.#readLog();
  }

  #handleEvent(event: Event, termId: string): void {
    const { getCursor, emitEvent, requestLeaderState } = this.#options;
    if (getCursor() !== null && this.#leaderState?.termId !== termId) {
      // Somebody else leads than before, and has not said where it is.
      if (!this.#buffer) requestLeaderState();
      this.#buffer ??= [];
    }
    if (!this.#buffer) {
      emitEvent(event);
      return;
    }
    if (this.#buffer.length >= MAX_BUFFERED_EVENTS) {
      this.#buffer.length = 0;
      this.#isBehind = true;
    }
    this.#buffer.push(event);
  }

  /** Whether what the leader tells from here on follows what this tab has heard. */
  #compareWithLeader({ state, cursor }: LeaderState): void {
    const ownCursor = this.#options.getCursor();
    if (ownCursor === null) {
      // From the present, wherever that is.
      if (state === 'live' && cursor !== null) this.#options.setCursor(cursor);
    } else if (cursor === null) {
      // It does not know itself.
      this.#buffer ??= [];
    } else if (isAtOrBefore(cursor, ownCursor)) {
      this.#flushBuffer();
    } else {
      this.catchUp();
    }
    this.#mirrorLeaderState();
  }

  /** Is where the leader is, unless something is missing still. */
  #mirrorLeaderState(): void {
    if (!this.#leaderState || this.#closeController.signal.aborted) return;
    const { state, retryAt } = this.#leaderState;
    // Live is who has heard everything.
    this.#options.setState(this.#buffer && state === 'live' ? 'catching_up' : state, retryAt);
  }

  /** Reads what was missed from the log, and then tells what was told meanwhile. */
  async #readLog(): Promise<void> {
    const { signal } = this.#closeController;
    const { getCursor, setCursor, emitEvent, reset, setState, fetchEventsAfter, random } = this.#options;
    this.#isReading = true;
    setState('catching_up');
    let failures = 0;
    while (this.#isBehind && !signal.aborted) {
      this.#isBehind = false;
      const requestedCursor = getCursor() ?? '';
      try {
        const page = await fetchEventsAfter(requestedCursor);
        if (signal.aborted) return;
        // If not, it has started over meanwhile.
        const isCurrent = getCursor() === requestedCursor;
        this.#isBehind ||= page.more || !isCurrent;
        if (!isCurrent) continue;
        if (page.more && page.cursor === requestedCursor) throw new TypeError('a page that is not the last leads on');
        for (const event of page.events) if (!signal.aborted) emitEvent(event);
        if (signal.aborted) return;
        setCursor(page.cursor);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 'reset') {
          if (getCursor() === requestedCursor) reset('retention', this.#leaderState?.cursor ?? requestedCursor);
          break;
        }
        // Nothing is told out of order: it is held until the gap is closed.
        this.#isBehind = true;
        const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
        const delay = Math.max(MIN_RETRY_DELAY_MS, retryAfterMs, computeBackoff(failures, random));
        failures += 1;
        setState('waiting', Date.now() + delay);
        await sleep(delay, signal);
      }
    }
    this.#isReading = false;
    this.#flushBuffer();
    this.#mirrorLeaderState();
  }

  /** Tells what was held, once nothing is missing before it. */
  #flushBuffer(): void {
    if (this.#isReading || !this.#leaderState) return;
    const events = this.#buffer ?? [];
    this.#buffer = null;
    for (const event of events) if (!this.#closeController.signal.aborted) this.#options.emitEvent(event);
  }
}
