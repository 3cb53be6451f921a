import type { User } from '@confab/sdk';
import type { StoreContext } from './storeContext';

/** Asked for in one request, at most. */
const MAX_IDS_PER_REQUEST = 100;

/** Learns who people are, and how they are seen. */
export class UserCache {
  readonly #context: StoreContext;
  /** Asked for, and not known yet. */
  readonly #requested = new Set<number>();
  /** Asked for in vain. */
  readonly #missing = new Set<number>();
  readonly #userBatcher = new RequestBatcher((ids) => this.#fetchUsers(ids));
  readonly #presenceBatcher = new RequestBatcher((ids) => this.#applyPresences(ids));

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Fetches people who are not known yet. */
  ensure(ids: readonly number[]): void {
    const { users } = this.#context.getState() ?? {};
    const unknownIds = ids.filter((id) => !users?.has(id) && !this.#requested.has(id));
    for (const id of unknownIds) this.#requested.add(id);
    this.#userBatcher.add(unknownIds);
  }

  /** Remembers people. */
  add(users: readonly User[]): void {
    if (users.length === 0) return;
    this.#context.update((state) => ({
      ...state,
      users: new Map([...state.users, ...users.map((user) => [user.id, user] as const)]),
    }));
    const { presences } = this.#context.getState() ?? {};
    this.refreshPresence(users.map(({ id }) => id).filter((id) => !presences?.has(id)));
  }

  /** Asks how people are seen now. */
  refreshPresence(ids: Iterable<number>): void {
    this.#presenceBatcher.add(ids);
  }

  /** After a break: nobody has told how people are seen, and some could not be had. */
  catchUp(): void {
    this.refreshPresence(this.#context.getState()?.users.keys() ?? []);
    this.ensure([...this.#missing]);
  }

  async #fetchUsers(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#missing.add(id);
    try {
      this.add(await this.#context.api.users.list(ids));
      for (const id of ids) this.#missing.delete(id);
    } finally {
      for (const id of ids) this.#requested.delete(id);
    }
  }

  async #applyPresences(ids: readonly number[]): Promise<void> {
    const before = this.#context.getState()?.presences;
    const fetched = await this.#context.api.presence.list(ids);
    this.#context.flushEvents();
    // What was told meanwhile is newer.
    this.#context.update((state) => {
      const unchanged = fetched.filter(({ user_id }) => state.presences.get(user_id) === before?.get(user_id));
      return {
        ...state,
        presences: new Map([...state.presences, ...unchanged.map((presence) => [presence.user_id, presence] as const)]),
      };
    });
  }
}

/** Asks together for what is wanted at the same time, one request after the other. */
class RequestBatcher {
  readonly #request: (ids: readonly number[]) => Promise<void>;
  readonly #queuedIds = new Set<number>();
  #isRunning = false;

  constructor(request: (ids: readonly number[]) => Promise<void>) {
    this.#request = request;
  }

  add(ids: Iterable<number>): void {
    for (const id of ids) this.#queuedIds.add(id);
    queueMicrotask(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#queuedIds.size > 0) {
      const ids = [...this.#queuedIds].slice(0, MAX_IDS_PER_REQUEST);
      for (const id of ids) this.#queuedIds.delete(id);
      await this.#request(ids).catch(() => {});
    }
    this.#isRunning = false;
  }
}
