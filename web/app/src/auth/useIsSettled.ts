import { useEffect, useState } from 'react';

/** Delay before the user can allow anything, in milliseconds. */
const SETTLE_DELAY_MS = 800;

/**
 * Whether the page has been visible for a moment since it was last shown or focused. A click that was meant for another page, which a
 * program closed or put in front, must not allow anything.
 */
export function useIsSettled(): boolean {
  const [isSettled, setIsSettled] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const restart = () => {
      clearTimeout(timer);
      setIsSettled(false);
      if (document.visibilityState !== 'visible') return;
      timer = setTimeout(() => setIsSettled(true), SETTLE_DELAY_MS);
    };
    restart();
    document.addEventListener('visibilitychange', restart);
    addEventListener('focus', restart);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', restart);
      removeEventListener('focus', restart);
    };
  }, []);
  return isSettled;
}
