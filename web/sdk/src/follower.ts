import { pauseAfter, sleep } from './backoff.js';
import type { ConnectionState } from './connection.js';
import { isPast } from './cursor.js';
import { ApiError } from './errors.js';
import type { Report, Whereabouts } from './tabs.js';
import type { Event, EventPage } from './wire/types.gen.js';

/** What a follower works on: what its tab has heard so far, and who hears of it. */
export interface FollowerOptions {
  /** After the last event that was told. */
  cursor(): string | null;
  /** Moves on without an event. */
  move(cursor: string): void;
  /** Tells an event, unless it was told, and moves on. */
  tell(event: Event): void;
  /** What was missed cannot be told. */
  startOver(reason: string, cursor: string): void;
  fail(text: string): void;
  become(state: ConnectionState, retryAt?: number | null): void;
  /** Asks the leader where it is. */
  greet(): void;
  /** A page of the log after a cursor. */
  eventsAfter(cursor: string): Promise<EventPage>;
  readonly random?: (() => number) | undefined;
}

/** How long at least to wait before the log is read again that could not be, in milliseconds. */
const AGAIN_MS = 1_000;

/** So many events are held at most; more are read again from the log. */
const MOST_HELD = 1_000;

/**
 * Hears from the tab that has the stream, from when it begins to follow until it
 * ends. It holds what is told until it knows from the leader's words that it has
 * missed nothing; what it has missed it reads from the log first.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #end = new AbortController();
  /** What the leader said last of where it is. */
  #leader: Whereabouts | null = null;
  /** What is told before this tab knows that it has missed nothing. */
  #held: Event[] | null;
  #isReading = false;
  /** Whether there is more to read than when the reading began. */
  #isBehind = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#held = options.cursor() === null ? null : [];
    options.become('connecting');
    options.greet();
  }

  /** Hears and tells no more. */
  end(): void {
    this.#end.abort();
  }

  /** Hears the leader. */
  hear(report: Report): void {
    const { cursor, startOver, fail } = this.#options;
    switch (report.kind) {
      case 'event':
        this.#take(report.event, report.by);
        return;
      case 'resync':
        // Unless it has started over already. A log that has gone back names the same history.
        if (report.reason !== 'future' && isPast(report.cursor, cursor())) return;
        // What is held belongs to what was before.
        if (this.#held) this.#held = [];
        startOver(report.reason, report.cursor);
        return;
      case 'error':
        fail(report.text);
        return;
      case 'state':
        this.#leader = report;
        this.#weigh(report);
        return;
    }
  }

  /** Reads what was missed, if anything was. */
  catchUp(): void {
    if (this.#end.signal.aborted || this.#options.cursor() === null) return;
    this.#held ??= [];
    this.#isBehind = true;
    if (!this.#isReading) void this.#read();
  }

  #take(event: Event, by: string): void {
    const { cursor, tell, greet } = this.#options;
    if (cursor() !== null && this.#leader?.by !== by) {
      // Somebody else leads than before, and has not said where it is.
      if (!this.#held) greet();
      this.#held ??= [];
    }
    if (!this.#held) {
      tell(event);
      return;
    }
    if (this.#held.length >= MOST_HELD) {
      this.#held.length = 0;
      this.#isBehind = true;
    }
    this.#held.push(event);
  }

  /** Whether what the leader tells from here on follows what this tab has heard. */
  #weigh({ state, cursor }: Whereabouts): void {
    const here = this.#options.cursor();
    if (here === null) {
      // From the present, wherever that is.
      if (state === 'live' && cursor !== null) this.#options.move(cursor);
    } else if (cursor === null) {
      // It does not know itself.
      this.#held ??= [];
    } else if (isPast(cursor, here)) {
      this.#release();
    } else {
      this.catchUp();
    }
    this.#keepUp();
  }

  /** Is where the leader is, unless something is missing still. */
  #keepUp(): void {
    if (!this.#leader || this.#end.signal.aborted) return;
    const { state, retryAt } = this.#leader;
    // Live is who has heard everything.
    this.#options.become(this.#held && state === 'live' ? 'catching_up' : state, retryAt);
  }

  /** Reads what was missed from the log, and then tells what was told meanwhile. */
  async #read(): Promise<void> {
    const { signal } = this.#end;
    const { cursor, move, tell, startOver, become, eventsAfter, random } = this.#options;
    this.#isReading = true;
    become('catching_up');
    let failures = 0;
    while (this.#isBehind && !signal.aborted) {
      this.#isBehind = false;
      const asked = cursor() ?? '';
      try {
        const page = await eventsAfter(asked);
        if (signal.aborted) return;
        // If not, it has started over meanwhile.
        const isDue = cursor() === asked;
        this.#isBehind ||= page.more || !isDue;
        if (!isDue) continue;
        if (page.more && page.cursor === asked) throw new TypeError('a page that is not the last leads on');
        for (const event of page.events) if (!signal.aborted) tell(event);
        if (signal.aborted) return;
        move(page.cursor);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 'reset') {
          if (cursor() === asked) startOver('retention', this.#leader?.cursor ?? asked);
          break;
        }
        // Nothing is told out of order: it is held until the gap is closed.
        this.#isBehind = true;
        const isAsked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
        const pause = Math.max(AGAIN_MS, isAsked, pauseAfter(failures, random));
        failures += 1;
        become('waiting', Date.now() + pause);
        await sleep(pause, signal);
      }
    }
    this.#isReading = false;
    this.#release();
    this.#keepUp();
  }

  /** Tells what was held, once nothing is missing before it. */
  #release(): void {
    if (this.#isReading || !this.#leader) return;
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) if (!this.#end.signal.aborted) this.#options.tell(event);
  }
}
