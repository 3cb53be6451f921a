import { useCallback, useState } from 'react';
import { getErrorMessage } from '../locales/errorMessage';

/** Runs actions and keeps the error of the last one. */
export function useAction(): {
  readonly error: string | null;
  /** Returns whether the action succeeded. */
  readonly run: (action: () => Promise<unknown>) => Promise<boolean>;
} {
  const [error, setError] = useState<string | null>(null);
  const run = useCallback(async (action: () => Promise<unknown>) => {
    try {
      setError(null);
      await action();
      return true;
    } catch (failure) {
      setError(getErrorMessage(failure));
      return false;
    }
  }, []);
  return { error, run };
}
