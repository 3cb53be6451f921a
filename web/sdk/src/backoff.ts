/** Upper bound of the first delay, in milliseconds. */
const INITIAL_DELAY_MS = 500;

/** Upper bound of every delay, in milliseconds. */
const MAX_DELAY_MS = 30_000;

/** A connection that lasted this long resets the backoff, in milliseconds. */
export const STABLE_AFTER_MS = 10_000;

/** Returns the delay after a number of failures, in milliseconds: full jitter under a doubling ceiling. */
export function computeBackoff(failures: number, random: () => number = Math.random): number {
  return random() * Math.min(MAX_DELAY_MS, INITIAL_DELAY_MS * 2 ** failures);
}

/** Waits until the time has passed or `signal` is aborted. Never throws. */
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
