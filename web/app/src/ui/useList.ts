import { useCallback, useEffect, useRef, useState } from 'react';
import { withToast } from './toast';
import { useAction } from './useAction';

/** Loads a list on mount. An item is removed once the server has confirmed it. */
export function useList<Item>(fetchItems: () => Promise<readonly Item[]>): {
  /** Null until it is loaded. */
  readonly items: readonly Item[] | null;
  /** The error of the load. */
  readonly error: string | null;
  readonly isBusy: boolean;
  readonly reload: () => Promise<unknown>;
  readonly removeItem: (item: Item, request: () => Promise<unknown>) => Promise<void>;
} {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  const { error, run } = useAction();
  const loads = useRef(0);
  const reload = useCallback(
    () =>
      run(async () => {
        const load = ++loads.current;
        const loaded = await fetchItems();
        // An older answer must not replace a newer one.
        if (load === loads.current) setItems(loaded);
      }),
    [fetchItems, run],
  );
  useEffect(() => {
    void reload();
  }, [reload]);
  const pendingRemovals = useRef(new Set<Item>());
  const removeItem = useCallback(
    (item: Item, request: () => Promise<unknown>) =>
      withToast(async () => {
        // Ignore a second click.
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
  return { items, error, isBusy: items === null && error === null, reload, removeItem };
}
