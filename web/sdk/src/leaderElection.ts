import type { Connection } from './connection.js';

/** The part of the browser's `LockManager` that the SDK uses. */
export interface Locks {
  /** Holds the lock while the promise of `hold` is pending. Rejects if the lock is not granted or is stolen. */
  request(name: string, options: LockOptions, hold: () => Promise<void>): Promise<unknown>;
}

/** Whether to wait for the lock or to steal it. */
export interface LockOptions {
  readonly signal?: AbortSignal;
  readonly steal?: boolean;
}

/** The options of a tab's participation in the election. */
export interface LeaderElectionOptions {
  readonly locks: Locks;
  readonly name: string;
  /** Aborted when the tab leaves the election. */
  readonly closeSignal: AbortSignal;
  /** Called when the tab becomes the leader. Returns its connection. */
  onElected(): Connection;
  /** Called when another tab has taken over. */
  onDeposed(connection: Connection): void;
}

/** Elects one tab as the leader, which owns the connection. */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  /** Waits for the lock, again each time it is lost. */
  async run(): Promise<void> {
    const { closeSignal, onElected } = this.#options;
    let outcome = await this.#holdLock({ signal: closeSignal });
    while (outcome === 'lost' && !closeSignal.aborted) outcome = await this.#holdLock({ signal: closeSignal });
    // A page that may not use locks opens its own connection.
    if (outcome === 'refused' && !closeSignal.aborted) onElected();
  }

  /** Steals the lock. If it is stolen again, this tab is still waiting in `run`. */
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
