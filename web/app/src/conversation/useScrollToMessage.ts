import type { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Timeline } from '../store/chatState';
import { useUiStore } from '../uiStore';
import type { TimelineRows } from './rows';

/** A scroll to a message takes several frames. No older page is loaded during this time, in milliseconds. */
const SCROLL_LOCK_MS = 400;

/** The scroll is corrected this long before the lock ends, in milliseconds. */
const SETTLE_MS = 100;

/** How long the target message stays highlighted, in milliseconds. */
const HIGHLIGHT_MS = 2_400;

/** Scrolls to a message once it is loaded and highlights it for a moment. */
export function useScrollToMessage(
  target: number | null,
  rows: TimelineRows,
  virtualizer: ReturnType<typeof useVirtualizer<HTMLDivElement, Element>>,
  timeline: Timeline,
): { readonly highlightedId: number | null; readonly isScrolling: boolean } {
  const scrollRequestCount = useUiStore((ui) => ui.scrollRequestCount);
  const requestKey = target === null ? null : `${target} ${scrollRequestCount}`;
  const handledRequest = useRef<string | null>(null);
  const latestRows = useRef(rows);
  latestRows.current = rows;
  const [highlight, setHighlight] = useState<{ readonly target: number; readonly requestKey: string | null } | null>(
    null,
  );
  const [isScrolling, setIsScrolling] = useState(false);
  useLayoutEffect(() => {
    if (target === null || requestKey === handledRequest.current || timeline.loading === 'initial') return;
    const index = rows.indexOf(target);
    if (index < 0) return;
    handledRequest.current = requestKey;
    virtualizer.scrollToIndex(index, { align: 'center' });
    setHighlight({ target, requestKey });
    setIsScrolling(true);
  }, [target, requestKey, rows, virtualizer, timeline.loading]);
  useEffect(() => {
    if (highlight === null) return;
    // By now the rows around the target have been measured, not estimated.
    const realign = () => {
      const index = latestRows.current.indexOf(highlight.target);
      if (index >= 0) virtualizer.scrollToIndex(index, { align: 'center' });
    };
    const timers = [
      setTimeout(realign, SCROLL_LOCK_MS - SETTLE_MS),
      setTimeout(() => setIsScrolling(false), SCROLL_LOCK_MS),
      setTimeout(() => setHighlight(null), HIGHLIGHT_MS),
    ];
    return () => timers.forEach(clearTimeout);
  }, [highlight, virtualizer]);
  return { highlightedId: highlight?.target ?? null, isScrolling: isScrolling || timeline.loading === 'initial' };
}
