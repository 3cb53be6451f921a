import { useCallback, useEffect, useRef, useState } from 'react';
import { withToast } from '../uiStore';
import { useAction } from './useAction';

/** A list that is read when it is shown, and loses one when the server says that it is gone. */
export function useList<Item>(fetchItems: () => Promise<readonly Item[]>): {
  /** Null until it is there. */
  readonly items: readonly Item[] | null;
  /** Why it could not be read. */
  readonly error: string | null;
  readonly isBusy: boolean;
  readonly removeItem: (item: Item, request: () => Promise<unknown>) => Promise<void>;
} {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  const { error, run } = useAction();
  useEffect(() => {
    void run(async () => setItems(await fetchItems()));
  }, [fetchItems, run]);
  const pendingRemovals = useRef(new Set<Item>());
  const removeItem = useCallback(
    (item: Item, request: () => Promise<unknown>) =>
      withToast(async () => {
        // A second click is the first.
        if (pendingRemovals.current.has(item)) return;
        pendingRemovals.current.add(item);
        try {
          await request();
          setItems((now) => now?.filter((one) => one !== item) ?? null);
        } finally {
          pendingRemovals.current.delete(item);
        }
      }),
    [],
  );
  return { items, error, isBusy: items === null && error === null, removeItem };
}
