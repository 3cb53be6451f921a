import type { Message, Pending } from '@confab/sdk';
import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual';
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { attempt } from '../view';
import { useHouse, useWorld } from '../world/use';
import { EMPTY } from '../world/world';
import { Beginning } from './Beginning';
import { MessageRow } from './MessageRow';
import { PendingRow } from './PendingRow';
import { places } from './places';
import { Rows } from './rows';
import styles from './Timeline.module.css';
import { useAnnouncements } from './useAnnouncements';
import { useTarget } from './useTarget';
import { useUnread } from './useUnread';

/** Nearer to the end than this is at the end, in pixels. */
const END_PX = 40;

/** Rows kept beside those that are seen, on each side. */
const OVERSCAN = 8;

/** More is read when the first or last row is nearer than this. */
const AHEAD = 12;

/** What is asked of a timeline from outside. */
export interface TimelineHandle {
  /** Goes to the present. */
  toEnd(): void;
  /** Puts the keys into the messages. */
  focus(): void;
}

/** A chat's history: as much of it on the screen as the screen shows. */
export function Timeline(props: {
  readonly chatId: number;
  /** A message to go to. */
  readonly target: number | null;
  readonly edit: { readonly message: Message; readonly text: string } | null;
  readonly onEdited: (text: string) => void;
  readonly handle: { current: TimelineHandle | null };
  readonly onReply: (message: Message) => void;
  readonly onEdit: (message: Message | null) => void;
  /** Asked to go to a message, or, with null, to the present. */
  readonly onGo: (messageId: number | null) => void;
}) {
  const { chatId, target, edit, handle, onReply, onEdit, onGo } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const run = useWorld(({ timelines }) => timelines.get(chatId) ?? EMPTY);
  const pending = usePending(chatId);
  const rows = useMemo(() => new Rows(run, pending, house.account.id), [run, pending, house]);

  const latest = useRef(rows);
  latest.current = rows;

  const scroller = useRef<HTMLDivElement>(null);
  const [place] = useState(() => places.get(house)?.get(chatId) ?? null);
  const [sizes] = useState(() => [...(place?.sizes ?? [])]);
  const [isPinned, setIsPinned] = useState(place === null && target === null);
  const pinned = useRef(isPinned);
  const couldFollow = useRef(!run.hasNewer);
  const keyOf = useCallback((index: number) => rows.key(index), [rows]);
  const virtual = useVirtualizer({
    count: rows.count,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => rows.estimate(index),
    getItemKey: keyOf,
    overscan: OVERSCAN,
    // To the fraction: rounded, many rows together would be off by a pixel.
    measureElement: (row) => row.getBoundingClientRect().height,
    anchorTo: 'end',
    // The last page of a jump into the past is read on, not run away with.
    followOnAppend: !run.hasNewer && couldFollow.current,
    scrollEndThreshold: END_PX,
    paddingEnd: 12,
    ...(place && { initialMeasurementsCache: sizes, initialOffset: place.offset }),
  });
  useLayoutEffect(() => {
    couldFollow.current = !run.hasNewer;
  }, [run.hasNewer]);

  const toEnd = useCallback(() => {
    pinned.current = true;
    setIsPinned(true);
    virtual.scrollToEnd();
  }, [virtual]);

  // The first time with anything to show: where it was left, or the end.
  const isPlaced = useRef(false);
  useLayoutEffect(() => {
    if (isPlaced.current || rows.count === 0) return;
    isPlaced.current = true;
    if (target !== null) return;
    const index = place ? rows.indexOf(place.messageId) : -1;
    const item = index >= 0 ? virtual.measurementsCache[index] : undefined;
    if (place && item) virtual.scrollToOffset(item.start + place.into);
    else toEnd();
  }, [rows, place, target, virtual, toEnd]);

  // Where it is left.
  useEffect(
    () => () => {
      const first = virtual.getVirtualItems().find((item) => item.end > (virtual.scrollOffset ?? 0));
      const row = first && pinned.current === false ? rowAt(latest.current, first) : null;
      const kept = places.get(house) ?? new Map();
      places.set(house, kept);
      if (first && row?.kind === 'message') {
        const offset = virtual.scrollOffset ?? 0;
        kept.set(chatId, {
          messageId: row.message.id,
          into: offset - first.start,
          offset,
          sizes: virtual.measurementsCache,
        });
      } else {
        kept.delete(chatId);
        house.history.trim(chatId, true);
      }
    },
    [house, chatId, virtual],
  );

  // What nobody looks at need not be kept.
  useEffect(() => {
    if (isPinned && run.messages.length > 0) house.history.trim(chatId, false);
  }, [house, chatId, isPinned, run.messages.length]);

  // What is written anew is in sight.
  const editing = edit?.message.id ?? null;
  useEffect(() => {
    const index = editing === null ? -1 : latest.current.indexOf(editing);
    if (index >= 0) virtual.scrollToIndex(index, { align: 'auto' });
  }, [editing, virtual]);

  // A pinned end stays, whatever becomes smaller or larger around it.
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const watch = new ResizeObserver(() => {
      if (pinned.current) virtual.scrollToEnd();
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [virtual]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element || !isPlaced.current) return;
    const isAtEnd =
      element.scrollHeight - element.scrollTop - element.clientHeight <= END_PX && !latestRun.current.hasNewer;
    pinned.current = isAtEnd;
    setIsPinned(isAtEnd);
  };
  const latestRun = useRef(run);
  latestRun.current = run;

  // It may still know of rows that have just gone.
  const items = virtual.getVirtualItems().filter(({ index }) => index < rows.count);
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  const { marked, isGoing } = useTarget(target, rows, virtual, run);
  useEffect(() => {
    if (isGoing || run.messages.length === 0 || run.reading !== 'nothing' || run.failure) return;
    if (first < AHEAD && run.hasOlder) void house.history.older(chatId);
    else if (last > rows.count - AHEAD && run.hasNewer) void house.history.newer(chatId);
  }, [house, chatId, run, rows, first, last, isGoing]);

  const unread = useUnread(chatId, isPinned && !run.hasNewer);
  const toUnread = async () => {
    const id = await house.history.firstAfter(chatId, unread.after ?? 0);
    if (id !== null) onGo(id);
  };
  const announcement = useAnnouncements(chatId);

  handle.current = {
    toEnd: () => {
      unread.clear();
      if (run.hasNewer) void house.history.present(chatId).then(toEnd);
      else toEnd();
    },
    focus: () => scroller.current?.focus(),
  };

  const [activeKey, setActiveKey] = useState<string | null>(null);
  const [lockedKey, setLockedKey] = useState<string | null>(null);
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const isInside = event.target === scroller.current || (event.target as HTMLElement).tagName === 'ARTICLE';
    if (!step || !isInside || event.altKey) return;
    event.preventDefault();
    const at = items.find((item) => item.key === activeKey)?.index ?? rows.count;
    const next = Math.max(0, Math.min(rows.count - 1, at + step));
    setActiveKey(rows.key(next));
    virtual.scrollToIndex(next, { align: 'auto' });
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${next}"] article`)?.focus(),
    );
  };

  const since = unread.count;
  return (
    <div className={styles.timeline}>
      {run.reading !== 'nothing' && run.messages.length > 0 && (
        <progress className={styles.progress} aria-label={t('loading')} />
      )}
      {unread.isAbove && (
        <button type="button" className={styles.jump} onClick={() => attempt(toUnread)}>
          {t('timeline.unread', { count: unread.total })}
          <strong>{t('timeline.jump')}</strong>
        </button>
      )}
      <div
        ref={scroller}
        className={styles.scroller}
        role="log"
        aria-live="off"
        aria-label={t('timeline.label')}
        aria-busy={run.reading !== 'nothing'}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        tabIndex={0}
        onScroll={onScroll}
        onKeyDown={onKeyDown}
        onPointerLeave={({ pointerType }) => pointerType === 'mouse' && setActiveKey(null)}
      >
        <div className={styles.whole} style={{ height: virtual.getTotalSize() }}>
          <div className={styles.seen} style={{ transform: `translateY(${items[0]?.start ?? 0}px)` }}>
            {items.map((item) => {
              const row = rows.at(item.index);
              const isActive = (lockedKey ?? activeKey) === row.key;
              return (
                <div key={item.key} data-index={item.index} ref={virtual.measureElement} className={styles.row}>
                  {row.kind === 'start' && <Beginning chatId={chatId} />}
                  {row.kind === 'pending' && <PendingRow pending={row.pending} isFirst={row.isFirst} />}
                  {row.kind === 'message' && (
                    <MessageRow
                      message={row.message}
                      isFirst={row.isFirst}
                      isNewDay={row.isNewDay}
                      isNew={row.message.id === unread.firstNew}
                      isActive={isActive}
                      isMarked={row.message.id === marked}
                      edited={row.message.id === edit?.message.id ? edit.text : null}
                      onEdited={props.onEdited}
                      onActive={setActiveKey}
                      onLock={setLockedKey}
                      onReply={onReply}
                      onEdit={onEdit}
                      onGo={onGo}
                      rowKey={row.key}
                    />
                  )}
                </div>
              );
            })}
          </div>
        </div>
      </div>
      {run.messages.length === 0 && run.reading === 'first' && <TimelineSkeleton />}
      {run.failure && (
        <p role="alert" className={styles.failure}>
          <Icon name="warn" size={18} />
          {run.failure}
          <Button
            onClick={() =>
              run.messages.length === 0
                ? target === null
                  ? house.history.present(chatId)
                  : house.history.find(chatId, target)
                : run.hasOlder
                  ? house.history.older(chatId)
                  : house.history.newer(chatId)
            }
          >
            {t('again')}
          </Button>
        </p>
      )}
      {(!isPinned || run.hasNewer) && rows.count > 0 && (
        <button type="button" className={styles.pill} data-new={since > 0} onClick={() => onGo(null)}>
          <Icon name="down" size={16} />
          {since > 0 ? t('timeline.new', { count: since }) : t('timeline.present')}
        </button>
      )}
      <p className="unseen" aria-live="polite">
        {announcement}
      </p>
    </div>
  );
}

function rowAt(rows: Rows, item: VirtualItem) {
  return item.index < rows.count ? rows.at(item.index) : null;
}

/** What is on its way in a chat, oldest first. */
function usePending(chatId: number): readonly Pending[] {
  return useWorld(({ pending }) =>
    [...pending.values()].filter((one) => one.chatId === chatId).sort((one, other) => one.at - other.at),
  );
}

/** The shape of messages that are coming. */
function TimelineSkeleton() {
  return (
    <div className={styles.skeleton} aria-hidden="true">
      {[62, 40, 78, 30, 55, 70].map((width) => (
        <div key={width}>
          <i />
          <span>
            <i style={{ width: '7rem' }} />
            <i style={{ width: `${width}%` }} />
          </span>
        </div>
      ))}
    </div>
  );
}
