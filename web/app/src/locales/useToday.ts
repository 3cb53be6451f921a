import { useSyncExternalStore } from 'react';

/** How often the date is compared, in milliseconds: timers stop while a device sleeps. */
const INTERVAL_MS = 30_000;

/** Renders the component again when the day changes, and returns the day. */
export function useToday(): string {
  return useSyncExternalStore(subscribe, () => new Date().toDateString());
}

function subscribe(onChange: () => void): () => void {
  const timer = setInterval(onChange, INTERVAL_MS);
  addEventListener('focus', onChange);
  return () => {
    clearInterval(timer);
    removeEventListener('focus', onChange);
  };
}
