import type { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useView } from '../view';
import type { Timeline } from '../world/world';
import type { Rows } from './rows';

/** Going to a message takes some frames, for which nothing may come above it, in milliseconds. */
const GOING_MS = 400;

/** The last of these, in milliseconds. */
const SETTLING_MS = 100;

/** How long a message that was gone to stays marked, in milliseconds. */
const MARKED_MS = 2_400;

/** Goes to a message once it is there, and says for a while which it was. */
export function useTarget(
  target: number | null,
  rows: Rows,
  virtual: ReturnType<typeof useVirtualizer<HTMLDivElement, Element>>,
  run: Timeline,
): { readonly marked: number | null; readonly isGoing: boolean } {
  const jumps = useView((view) => view.jumps);
  const way = target === null ? null : `${target} ${jumps}`;
  const gone = useRef<string | null>(null);
  const latest = useRef(rows);
  latest.current = rows;
  const [arrival, setArrival] = useState<{ readonly target: number; readonly way: string | null } | null>(null);
  const [isGoing, setIsGoing] = useState(false);
  useLayoutEffect(() => {
    if (target === null || way === gone.current || run.reading === 'first') return;
    const index = rows.indexOf(target);
    if (index < 0) return;
    gone.current = way;
    virtual.scrollToIndex(index, { align: 'center' });
    setArrival({ target, way });
    setIsGoing(true);
  }, [target, way, rows, virtual, run.reading]);
  useEffect(() => {
    if (arrival === null) return;
    // Rows that were only guessed when it was gone to are measured now.
    const again = () => {
      const index = latest.current.indexOf(arrival.target);
      if (index >= 0) virtual.scrollToIndex(index, { align: 'center' });
    };
    const timers = [
      setTimeout(again, GOING_MS - SETTLING_MS),
      setTimeout(() => setIsGoing(false), GOING_MS),
      setTimeout(() => setArrival(null), MARKED_MS),
    ];
    return () => timers.forEach(clearTimeout);
  }, [arrival, virtual]);
  return { marked: arrival?.target ?? null, isGoing: isGoing || run.reading === 'first' };
}
