/** The first pause is at most this, in milliseconds. */
const INITIAL_DELAY_MS = 500;

/** No pause is longer. */
const MAX_DELAY_MS = 30_000;

/** A connection that lived for so long begins anew with short pauses. */
export const STABLE_AFTER_MS = 10_000;

/** How long to wait after so many failures: full jitter under a doubling ceiling, in milliseconds. */
export function computeBackoff(failures: number, random: () => number = Math.random): number {
  return random() * Math.min(MAX_DELAY_MS, INITIAL_DELAY_MS * 2 ** failures);
}

/** Waits; sooner if `signal` is aborted. Never throws. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
