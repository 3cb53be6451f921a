import type { LockOptions, Locks } from '../src/index.js';

interface LockRequest {
  readonly hold: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** An in-process lock manager for simulated tabs. */
export class TestLocks implements Locks {
  #holder: LockRequest | null = null;
  readonly #pending: LockRequest[] = [];
  /** Called before a stolen lock is granted. */
  beforeSteal: () => void = () => {};

  get pendingCount(): number {
    return this.#pending.length;
  }

  request(_: string, { signal, steal }: LockOptions, hold: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = { hold, resolve, reject };
      if (steal) {
        this.beforeSteal();
        this.#holder?.reject(new DOMException('stolen', 'AbortError'));
        this.#grant(request);
        return;
      }
      this.#pending.push(request);
      signal?.addEventListener('abort', () => {
        const index = this.#pending.indexOf(request);
        if (index < 0) return;
        this.#pending.splice(index, 1);
        reject(signal.reason);
      });
      queueMicrotask(() => this.#grantNext());
    });
  }

  #grantNext(): void {
    const request = this.#holder === null ? this.#pending.shift() : undefined;
    if (request) this.#grant(request);
  }

  #grant(request: LockRequest): void {
    this.#holder = request;
    void request.hold().then(() => {
      request.resolve();
      if (this.#holder !== request) return;
      this.#holder = null;
      this.#grantNext();
    });
  }
}
