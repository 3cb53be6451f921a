import type { Connection } from './connection.js';

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

/** One tab's part in the taking of turns. */
export interface TurnOptions {
  readonly locks: Locks;
  readonly name: string;
  /** Aborted when the tab takes part no longer. */
  readonly end: AbortSignal;
  /** Opens the stream. */
  lead(): Connection;
  /** Another tab has taken the turn: this stream is over. */
  yield(own: Connection): void;
}

/** Whose turn it is to have the stream: one tab's at a time. */
export class Turn {
  readonly #options: TurnOptions;

  constructor(options: TurnOptions) {
    this.#options = options;
  }

  /** Waits for its turn, as often as it is lost. */
  async wait(): Promise<void> {
    const { end, lead } = this.#options;
    let outcome = await this.#hold({ signal: end });
    while (outcome === 'lost' && !end.aborted) outcome = await this.#hold({ signal: end });
    // A page may be forbidden to lock anything: it has a stream of its own.
    if (outcome === 'refused' && !end.aborted) lead();
  }

  /** Takes the turn. If it is taken away again, this tab waits still. */
  async take(): Promise<void> {
    await this.#hold({ steal: true });
  }

  async #hold(options: LockOptions): Promise<'over' | 'lost' | 'refused'> {
    const { locks, name, end, lead, yield: giveWay } = this.#options;
    let own: Connection | null = null;
    const hold = () =>
      new Promise<void>((resolve) => {
        if (end.aborted) return resolve();
        own = lead();
        own.on('state', ({ to }) => to === 'closed' && resolve());
        if (own.state === 'closed') resolve();
      });
    try {
      await locks.request(name, options, hold);
      return 'over';
    } catch {
      if (own === null) return 'refused';
      if (!end.aborted) giveWay(own);
      return 'lost';
    }
  }
}
