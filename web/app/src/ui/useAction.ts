import { useCallback, useState } from 'react';
import { getErrorMessage } from '../locales/errorMessage';

/** Tries things, and keeps why the last one was refused. */
export function useAction(): {
  readonly error: string | null;
  /** Answers whether it was done. */
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
