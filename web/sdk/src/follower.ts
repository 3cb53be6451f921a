import { computeBackoff, sleep } from './backoff.js';
import type { ConnectionState } from './connection.js';
import { isAtOrBefore } from './cursor.js';
import { ApiError } from './errors.js';
import type { LeaderMessage, LeaderState } from './tabProtocol.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** The position of the follower's tab and the callbacks to it. */
export interface FollowerOptions {
  /** Returns the position of the last emitted event. */
  getCursor(): string | null;
  /** Advances the cursor without an event. */
  setCursor(cursor: string): void;
  /** Emits an event, unless it was emitted before, and advances the cursor. */
  emitEvent(event: Event): void;
  /** Missed events cannot be replayed. */
  reset(reason: string, cursor: string): void;
  emitError(text: string): void;
  setState(state: ConnectionState, retryAt?: number | null): void;
  /** Asks the leader for its state. */
  requestLeaderState(): void;
  /** Fetches a page of the event log after a cursor. */
  fetchEventsAfter(cursor: string): Promise<EventPage>;
  readonly random?: (() => number) | undefined;
}

/** Minimum delay before a failed log request is retried, in milliseconds. */
const MIN_RETRY_DELAY_MS = 1_000;

/** Maximum number of buffered events. Beyond it the buffer is dropped and the log is read instead. */
const MAX_BUFFERED_EVENTS = 1_000;

/**
 * Receives events from the leader tab, which owns the connection. It buffers events
 * until the leader's cursor shows that nothing was missed. Missed events are read
 * from the log first.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #closeController = new AbortController();
  /** The last state that the leader sent. */
  #leaderState: LeaderState | null = null;
  /** Events received before this tab knows that it has missed nothing; null when it has caught up. */
  #buffer: Event[] | null;
  #isReading = false;
  /** Whether the log must be read, or read again. */
  #isBehind = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#buffer = options.getCursor() === null ? null : [];
    options.setState('connecting');
    options.requestLeaderState();
  }

  /** Stops following. */
  close(): void {
    this.#closeController.abort();
  }

  /** Handles a message from the leader. */
  handleMessage(message: LeaderMessage): void {
    const { getCursor, reset, emitError } = this.#options;
    switch (message.kind) {
      case 'event':
        this.#handleEvent(message.event, message.termId);
        return;
      case 'reset':
        // Ignore a reset that was already applied. Other reasons can lead back to an earlier position.
        if (message.cursor === getCursor()) return;
        if (message.reason === 'retention' && isAtOrBefore(message.cursor, getCursor())) return;
        // The buffered events are from before the reset.
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

  /** Reads missed events from the log, if any. */
  catchUp(): void {
    if (this.#closeController.signal.aborted || this.#options.getCursor() === null) return;
    this.#buffer ??= [];
    this.#isBehind = true;
    if (!this.#isReading) void this.#readLog();
  }

  #handleEvent(event: Event, termId: string): void {
    const { getCursor, emitEvent, requestLeaderState } = this.#options;
    if (getCursor() !== null && this.#leaderState?.termId !== termId) {
      // There is a new leader, which has not sent its cursor yet.
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

  /** Compares the cursors: flushes the buffer if nothing was missed, otherwise catches up. */
  #compareWithLeader({ state, cursor }: LeaderState): void {
    const ownCursor = this.#options.getCursor();
    if (ownCursor === null) {
      // Without a cursor, start at the leader's live position.
      if (state === 'live' && cursor !== null) this.#options.setCursor(cursor);
    } else if (cursor === null) {
      // The leader has no cursor yet.
      this.#buffer ??= [];
    } else if (isAtOrBefore(cursor, ownCursor)) {
      this.#flushBuffer();
    } else {
      this.catchUp();
    }
    this.#mirrorLeaderState();
  }

  /** Takes over the leader's state, unless events are still missing. */
  #mirrorLeaderState(): void {
    if (!this.#leaderState || this.#closeController.signal.aborted) return;
    const { state, retryAt } = this.#leaderState;
    // A tab is live only after it has received all events.
    this.#options.setState(this.#buffer && state === 'live' ? 'catching_up' : state, retryAt);
  }

  /** Reads missed events from the log, then flushes the buffered ones. */
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
        // If the cursor changed, a reset happened during the request.
        const isCurrent = getCursor() === requestedCursor;
        this.#isBehind ||= page.more || !isCurrent;
        if (!isCurrent) continue;
        if (page.more && page.cursor === requestedCursor) throw new TypeError('a page with more must move on');
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
        // Keep the order: buffer events until the gap is closed.
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

  /** Emits the buffered events, once nothing before them is missing. */
  #flushBuffer(): void {
    if (this.#isReading || !this.#leaderState) return;
    const events = this.#buffer ?? [];
    this.#buffer = null;
    for (const event of events) if (!this.#closeController.signal.aborted) this.#options.emitEvent(event);
  }
}
