/** How many ids are remembered. */
const REMEMBERED = 4_096;

/** Tells an event that comes again, as it may after a break, from a new one. */
export class Seen {
  readonly #ids = new Set<string>();

  /** Whether this id is new. From now on it is not. */
  isNew(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    const [oldest] = this.#ids;
    if (this.#ids.size > REMEMBERED && oldest !== undefined) this.#ids.delete(oldest);
    return true;
  }

  clear(): void {
    this.#ids.clear();
  }
}
