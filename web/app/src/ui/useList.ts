import { useCallback, useEffect, useRef, useState } from 'react';
import { attempt } from '../view';
import { useRefusal } from './useRefusal';

/** A list that is read when it is shown, and loses one when the server says that it is gone. */
export function useList<Item>(read: () => Promise<readonly Item[]>): {
  /** Null until it is there. */
  readonly items: readonly Item[] | null;
  /** Why it could not be read. */
  readonly refusal: string | null;
  readonly isBusy: boolean;
  readonly takeOut: (item: Item, tell: () => Promise<unknown>) => Promise<void>;
} {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  const { refusal, trying } = useRefusal();
  useEffect(() => {
    void trying(async () => setItems(await read()));
  }, [read, trying]);
  const going = useRef(new Set<Item>());
  const takeOut = useCallback(
    (item: Item, tell: () => Promise<unknown>) =>
      attempt(async () => {
        // A second click is the first.
        if (going.current.has(item)) return;
        going.current.add(item);
        try {
          await tell();
          setItems((now) => now?.filter((one) => one !== item) ?? null);
        } finally {
          going.current.delete(item);
        }
      }),
    [],
  );
  return { items, refusal, isBusy: items === null && refusal === null, takeOut };
}
