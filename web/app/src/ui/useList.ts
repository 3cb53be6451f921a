import { useCallback, useEffect, useState } from 'react';
import { attempt } from '../view';

/** A list that is read when it is shown, and loses one when the server says that it is gone. */
export function useList<Item>(read: () => Promise<readonly Item[]>): {
  /** Null until it is there. */
  readonly items: readonly Item[] | null;
  readonly takeOut: (item: Item, tell: () => Promise<unknown>) => Promise<void>;
} {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  useEffect(() => {
    void attempt(async () => setItems(await read()));
  }, [read]);
  const takeOut = useCallback(
    (item: Item, tell: () => Promise<unknown>) =>
      attempt(async () => {
        await tell();
        setItems((now) => now?.filter((one) => one !== item) ?? null);
      }),
    [],
  );
  return { items, takeOut };
}
