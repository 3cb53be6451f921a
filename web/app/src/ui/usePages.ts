import { useCallback, useEffect, useState } from 'react';
import { getErrorMessage } from '../locales/errorMessage';
import { withToast } from './toast';

/** A page of a list. */
interface Page<Item> {
  readonly items: readonly Item[];
  /** The query of the next page; null on the last page. */
  readonly next: string | null;
}

/** How long typing must pause before a search starts, in milliseconds. */
const SEARCH_DELAY_MS = 250;

/** Loads a list page by page. A changed query starts over, after a pause in typing. */
export function usePages<Item>(
  query: string,
  fetchFirst: (query: string) => Promise<Page<Item>>,
  fetchNext: (next: string) => Promise<Page<Item>>,
): {
  /** The loaded items; null until the first page is loaded. */
  readonly items: readonly Item[] | null;
  readonly error: string | null;
  readonly isBusy: boolean;
  /** Loads the next page; null on the last page. */
  readonly loadMore: (() => Promise<void>) | null;
  /** Loads the first page again. */
  readonly reload: () => void;
} {
  const [pages, setPages] = useState<Page<Item> | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let isCancelled = false;
    setError(null);
    const search = () =>
      fetchFirst(query).then(
        (page) => !isCancelled && setPages(page),
        (error) => !isCancelled && setError(getErrorMessage(error)),
      );
    const timer = setTimeout(search, query === '' ? 0 : SEARCH_DELAY_MS);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [query, fetchFirst, attempt]);

  const next = pages?.next ?? null;
  const loadNext = useCallback(
    (next: string) =>
      withToast(async () => {
        const page = await fetchNext(next);
        // Ignore the page if another search has replaced the list meanwhile.
        setPages((now) => (now?.next === next ? { items: [...now.items, ...page.items], next: page.next } : now));
      }),
    [fetchNext],
  );
  return {
    items: pages?.items ?? null,
    error,
    isBusy: pages === null && error === null,
    loadMore: next === null ? null : () => loadNext(next),
    reload: useCallback(() => setAttempt((now) => now + 1), []),
  };
}
