import { useCallback, useState } from 'react';
import { wordsOf } from '../words/failure';

/** Tries things, and keeps why the last one was refused. */
export function useRefusal(): {
  readonly refusal: string | null;
  /** Answers whether it was done. */
  readonly trying: (work: () => Promise<unknown>) => Promise<boolean>;
} {
  const [refusal, setRefusal] = useState<string | null>(null);
  const trying = useCallback(async (work: () => Promise<unknown>) => {
    try {
      setRefusal(null);
      await work();
      return true;
    } catch (failure) {
      setRefusal(wordsOf(failure));
      return false;
    }
  }, []);
  return { refusal, trying };
}
