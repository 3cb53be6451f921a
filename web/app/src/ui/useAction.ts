import { useCallback, useState } from 'react';
import { getErrorMessage } from '../locales/errorMessage';

/** Runs actions, and keeps the error of the last one and whether one is running. */
export function useAction(): {
  readonly error: string | null;
  readonly isBusy: boolean;
  /** Returns whether the action succeeded. */
  readonly run: (action: () => Promise<unknown>) => Promise<boolean>;
} {
  const [error, setError] = useState<string | null>(null);
  const [running, setRunning] = useState(0);
  const run = useCallback(async (action: () => Promise<unknown>) => {
    setRunning((count) => count + 1);
    try {
      setError(null);
      await action();
      return true;
    } catch (failure) {
      setError(getErrorMessage(failure));
      return false;
    } finally {
      setRunning((count) => count - 1);
    }
  }, []);
  return { error, isBusy: running > 0, run };
}
