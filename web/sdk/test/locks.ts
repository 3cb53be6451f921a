import type { LockOptions, Locks } from '../src/index.js';

interface Request {
  readonly hold: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** As a browser's, for tabs that are all in this process. */
export class TestLocks implements Locks {
  #holder: Request | null = null;
  readonly #waiting: Request[] = [];
  /** What is done before a stolen lock is given. */
  beforeTheft: () => void = () => {};

  get waiting(): number {
    return this.#waiting.length;
  }

  request(_: string, { signal, steal }: LockOptions, hold: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = { hold, resolve, reject };
      if (steal) {
        this.beforeTheft();
        this.#holder?.reject(new DOMException('stolen', 'AbortError'));
        this.#give(request);
        return;
      }
      this.#waiting.push(request);
      signal?.addEventListener('abort', () => {
        const nth = this.#waiting.indexOf(request);
        if (nth < 0) return;
        this.#waiting.splice(nth, 1);
        reject(signal.reason);
      });
      queueMicrotask(() => this.#next());
    });
  }

  #next(): void {
    const request = this.#holder === null ? this.#waiting.shift() : undefined;
    if (request) this.#give(request);
  }

  #give(request: Request): void {
    this.#holder = request;
    void request.hold().then(() => {
      request.resolve();
      if (this.#holder !== request) return;
      this.#holder = null;
      this.#next();
    });
  }
}
