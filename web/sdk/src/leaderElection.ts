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
export interface LeaderElectionOptions {
  readonly locks: Locks;
  readonly name: string;
  /** Aborted when the tab takes part no longer. */
  readonly closeSignal: AbortSignal;
  /** Opens the stream. */
  onElected(): Connection;
  /** Another tab has taken the turn: this stream is over. */
  onDeposed(connection: Connection): void;
}

/** Whose turn it is to have the stream: one tab's at a time. */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  /** Waits for its turn, as often as it is lost. */
  async run(): Promise<void> {
    const { closeSignal, onElected } = this.#options;
    let outcome = await this.#holdLock({ signal: closeSignal });
    while (outcome === 'lost' && !closeSignal.aborted) outcome = await this.#holdLock({ signal: closeSignal });
    // A page may be forbidden to lock anything: it has a stream of its own.
    if (outcome === 'refused' && !closeSignal.aborted) onElected();
  }

  /** Takes the turn. If it is taken away again, this tab waits still. */
  async stealLock(): Promise<void> {
    await this.#holdLock({ steal: true });
  }

  async #holdLock(options: LockOptions): Promise<'over' | 'lost' | 'refused'> {
    const { locks, name, closeSignal, onElected, onDeposed } = this.#options;
    let connection: Connection | null = null;
    const hold = () =>
      new Promise<void>((resolve) => {
        if (closeSignal.aborted) return resolve();
        connection = onElected();
        connection.on('state', ({ to }) => to === 'closed' && resolve());
        if (connection.state === 'closed') resolve();
      });
    try {
      await locks.request(name, options, hold);
      return 'over';
    } catch {
      if (connection === null) return 'refused';
      if (!closeSignal.aborted) onDeposed(connection);
      return 'lost';
    }
  }
}
