import type { User } from '@confab/sdk';
import type { StoreContext } from './storeContext';

/** Maximum number of ids per request. */
const MAX_IDS_PER_REQUEST = 100;

/** Loads users and their presence. */
export class UserCache {
  readonly #context: StoreContext;
  /** Ids that are queued or being fetched. */
  readonly #requested = new Set<number>();
  /** Ids whose request has not succeeded. */
  readonly #missing = new Set<number>();
  readonly #userBatcher = new RequestBatcher((ids) => this.#fetchUsers(ids));
  readonly #presenceBatcher = new RequestBatcher((ids) => this.#applyPresences(ids));

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Fetches the users that are not loaded yet. */
  ensure(ids: readonly number[]): void {
    const { users } = this.#context.getState() ?? {};
    const unknownIds = ids.filter((id) => !users?.has(id) && !this.#requested.has(id));
    for (const id of unknownIds) this.#requested.add(id);
    this.#userBatcher.add(unknownIds);
  }

  /** Adds users to the state. */
  add(users: readonly User[]): void {
    if (users.length === 0) return;
    this.#context.update((state) => ({
      ...state,
      users: new Map([...state.users, ...users.map((user) => [user.id, user] as const)]),
    }));
    const { presences } = this.#context.getState() ?? {};
    this.refreshPresence(users.map(({ id }) => id).filter((id) => !presences?.has(id)));
  }

  /** Fetches the current presence of users. */
  refreshPresence(ids: Iterable<number>): void {
    this.#presenceBatcher.add(ids);
  }

  /** Runs after a reconnect: presence events are not replayed, and some requests may have failed. */
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
    // A presence event that arrived during the request is newer.
    this.#context.update((state) => {
      const unchanged = fetched.filter(({ user_id }) => state.presences.get(user_id) === before?.get(user_id));
      return {
        ...state,
        presences: new Map([...state.presences, ...unchanged.map((presence) => [presence.user_id, presence] as const)]),
      };
    });
  }
}

/** Batches ids into requests and runs one request at a time. */
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
