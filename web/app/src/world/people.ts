import type { User } from '@confab/sdk';
import type { Ground } from './ground';

/** Asked for in one request, at most. */
const MOST_IDS = 100;

/** Learns who people are, and how they are seen. */
export class People {
  readonly #ground: Ground;
  /** Asked for, and not known yet. */
  readonly #awaited = new Set<number>();
  /** Asked for in vain. */
  readonly #missing = new Set<number>();
  readonly #names = new Gathering((ids) => this.#fetch(ids));
  readonly #presences = new Gathering((ids) => this.#see(ids));

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** Fetches people who are not known yet. */
  know(ids: readonly number[]): void {
    const { people } = this.#ground.world() ?? {};
    const strangers = ids.filter((id) => !people?.has(id) && !this.#awaited.has(id));
    for (const id of strangers) this.#awaited.add(id);
    this.#names.add(strangers);
  }

  /** Remembers people. */
  meet(users: readonly User[]): void {
    if (users.length === 0) return;
    this.#ground.update((world) => ({
      ...world,
      people: new Map([...world.people, ...users.map((user) => [user.id, user] as const)]),
    }));
    const { presences } = this.#ground.world() ?? {};
    this.look(users.map(({ id }) => id).filter((id) => !presences?.has(id)));
  }

  /** Asks how people are seen now. */
  look(ids: Iterable<number>): void {
    this.#presences.add(ids);
  }

  /** After a break: nobody has told how people are seen, and some could not be had. */
  catchUp(): void {
    this.look(this.#ground.world()?.people.keys() ?? []);
    this.know([...this.#missing]);
  }

  async #fetch(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#missing.add(id);
    try {
      this.meet(await this.#ground.api.people.list(ids));
      for (const id of ids) this.#missing.delete(id);
    } finally {
      for (const id of ids) this.#awaited.delete(id);
    }
  }

  async #see(ids: readonly number[]): Promise<void> {
    const before = this.#ground.world()?.presences;
    const seen = await this.#ground.api.presence.list(ids);
    this.#ground.settle();
    // What was told meanwhile is newer.
    this.#ground.update((world) => {
      const still = seen.filter(({ user_id }) => world.presences.get(user_id) === before?.get(user_id));
      return {
        ...world,
        presences: new Map([...world.presences, ...still.map((presence) => [presence.user_id, presence] as const)]),
      };
    });
  }
}

/** Asks together for what is wanted at the same time, one request after the other. */
class Gathering {
  readonly #ask: (ids: readonly number[]) => Promise<void>;
  readonly #wanted = new Set<number>();
  #isAsking = false;

  constructor(ask: (ids: readonly number[]) => Promise<void>) {
    this.#ask = ask;
  }

  add(ids: Iterable<number>): void {
    for (const id of ids) this.#wanted.add(id);
    queueMicrotask(() => void this.#go());
  }

  async #go(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    while (this.#wanted.size > 0) {
      const ids = [...this.#wanted].slice(0, MOST_IDS);
      for (const id of ids) this.#wanted.delete(id);
      await this.#ask(ids).catch(() => {});
    }
    this.#isAsking = false;
  }
}
