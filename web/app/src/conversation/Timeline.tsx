import type { Message, PendingMessage } from '@confab/sdk';
import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual';
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatDay } from '../locales/time';
import { useToday } from '../locales/useToday';
import { EMPTY_TIMELINE } from '../store/chatState';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { ConversationStart } from './ConversationStart';
import { MessageRow } from './MessageRow';
import { findEntryByKey, listMessageEntries } from './messageActions';
import { PendingRow } from './PendingRow';
import { TimelineRows } from './rows';
import { type ScrollPosition, scrollPositions } from './scrollPositions';
import styles from './Timeline.module.css';
import { useAnnouncements } from './useAnnouncements';
import { useScrollToMessage } from './useScrollToMessage';
import { useUnreadMarker } from './useUnreadMarker';

/** Maximum distance from the end at which the timeline counts as scrolled to the end, in pixels. */
const END_THRESHOLD_PX = 40;

/** Number of rows rendered beyond the visible rows, on each side. */
const OVERSCAN = 8;

/** Another page is loaded when the first or last row is nearer than this number of rows. */
const PREFETCH_ROWS = 12;

/** The methods that other components call. */
export interface TimelineHandle {
  /** Scrolls to the latest message. */
  scrollToEnd(): void;
  /** Moves the focus to the messages. */
  focus(): void;
}

/** The virtualized history of a chat. */
export function Timeline(props: {
  readonly chatId: number;
  /** The message to scroll to. */
  readonly target: number | null;
  readonly edit: { readonly message: Message; readonly text: string } | null;
  readonly onEditChange: (text: string) => void;
  readonly handleRef: { current: TimelineHandle | null };
  readonly onReply: (message: Message) => void;
  readonly onEdit: (message: Message | null) => void;
  /** Called to jump to a message, or to the latest with null. */
  readonly onJump: (messageId: number | null) => void;
}) {
  const { chatId, target, edit, handleRef, onReply, onEdit, onJump } = props;
  const { t } = useTranslation();
  const handlers = useMemo(() => ({ onReply, onEdit }), [onReply, onEdit]);
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const timeline = useChatState(({ timelines }) => timelines.get(chatId) ?? EMPTY_TIMELINE);
  const pending = usePendingMessages(chatId);
  const rows = useMemo(() => new TimelineRows(timeline, pending, chatStore.account.id), [timeline, pending, chatStore]);

  const latestRows = useRef(rows);
  latestRows.current = rows;

  const scrollerRef = useRef<HTMLDivElement>(null);
  const [savedPosition] = useState(() => scrollPositions.get(chatStore)?.get(chatId) ?? null);
  const [savedMeasurements] = useState(() => [...(savedPosition?.measurements ?? [])]);
  const [isPinnedToEnd, setIsPinnedToEnd] = useState(savedPosition === null && target === null);
  const pinnedRef = useRef(isPinnedToEnd);
  const couldFollow = useRef(!timeline.hasNewer);
  const getItemKey = useCallback((index: number) => rows.getKey(index), [rows]);
  const virtualizer = useVirtualizer({
    count: rows.count,
    getScrollElement: () => scrollerRef.current,
    estimateSize: (index) => rows.estimateHeight(index),
    getItemKey: getItemKey,
    overscan: OVERSCAN,
    // Not rounded: the rounding errors of many rows would add up to a pixel.
    measureElement: (row) => row.getBoundingClientRect().height,
    anchorTo: 'end',
    // When paging forward reaches the latest page, keep the position instead of following the end.
    followOnAppend: !timeline.hasNewer && couldFollow.current,
    scrollEndThreshold: END_THRESHOLD_PX,
    paddingEnd: 12,
    ...(savedPosition && { initialMeasurementsCache: savedMeasurements, initialOffset: savedPosition.scrollOffset }),
  });
  useLayoutEffect(() => {
    couldFollow.current = !timeline.hasNewer;
  }, [timeline.hasNewer]);

  const scrollToEnd = useCallback(() => {
    pinnedRef.current = true;
    setIsPinnedToEnd(true);
    virtualizer.scrollToEnd();
  }, [virtualizer]);

  // On the first render with rows, restore the saved position or scroll to the end.
  const isPositionRestored = useRef(false);
  useLayoutEffect(() => {
    if (isPositionRestored.current || rows.count === 0) return;
    isPositionRestored.current = true;
    if (target !== null) return;
    const index = savedPosition ? rows.indexOf(savedPosition.messageId) : -1;
    const item = index >= 0 ? virtualizer.measurementsCache[index] : undefined;
    if (savedPosition && item) virtualizer.scrollToOffset(item.start + savedPosition.offsetInMessage);
    else scrollToEnd();
  }, [rows, savedPosition, target, virtualizer, scrollToEnd]);

  // Save the position on unmount.
  useEffect(
    () => () => {
      const first = virtualizer.getVirtualItems().find((item) => item.end > (virtualizer.scrollOffset ?? 0));
      const row = first && pinnedRef.current === false ? getRowAt(latestRows.current, first) : null;
      const positions = scrollPositions.get(chatStore) ?? new Map<number, ScrollPosition>();
      scrollPositions.set(chatStore, positions);
      if (first && row?.kind === 'message') {
        const scrollOffset = virtualizer.scrollOffset ?? 0;
        positions.set(chatId, {
          messageId: row.message.id,
          offsetInMessage: scrollOffset - first.start,
          scrollOffset,
          measurements: virtualizer.measurementsCache,
        });
      } else {
        positions.delete(chatId);
        chatStore.history.trim(chatId, true);
      }
    },
    [chatStore, chatId, virtualizer],
  );

  // Drop old messages while the user is at the end.
  useEffect(() => {
    if (isPinnedToEnd && timeline.messages.length > 0) chatStore.history.trim(chatId, false);
  }, [chatStore, chatId, isPinnedToEnd, timeline.messages.length]);

  // Scroll the edited message into view.
  const editingId = edit?.message.id ?? null;
  useEffect(() => {
    const index = editingId === null ? -1 : latestRows.current.indexOf(editingId);
    if (index >= 0) virtualizer.scrollToIndex(index, { align: 'auto' });
  }, [editingId, virtualizer]);

  // Stay pinned to the end when the timeline is resized.
  useEffect(() => {
    const element = scrollerRef.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      if (pinnedRef.current) virtualizer.scrollToEnd();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [virtualizer]);

  const onScroll = () => {
    const element = scrollerRef.current;
    if (!element || !isPositionRestored.current) return;
    const isAtEnd =
      element.scrollHeight - element.scrollTop - element.clientHeight <= END_THRESHOLD_PX &&
      !latestTimeline.current.hasNewer;
    pinnedRef.current = isAtEnd;
    setIsPinnedToEnd(isAtEnd);
  };
  const latestTimeline = useRef(timeline);
  latestTimeline.current = timeline;

  // The virtualizer may still return rows that were just removed.
  const items = virtualizer.getVirtualItems().filter(({ index }) => index < rows.count);
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  const { highlightedId, isScrolling } = useScrollToMessage(target, rows, virtualizer, timeline);
  // Without a connection, nothing is loaded before the user asks for it.
  const isSnapshot = useChatState(({ snapshotAt }) => snapshotAt !== null);
  useEffect(() => {
    if (isSnapshot || isScrolling || timeline.messages.length === 0 || timeline.loading !== 'idle' || timeline.failure)
      return;
    if (first < PREFETCH_ROWS && timeline.hasOlder) void chatStore.history.loadOlder(chatId);
    else if (last > rows.count - PREFETCH_ROWS && timeline.hasNewer) void chatStore.history.loadNewer(chatId);
  }, [chatStore, chatId, timeline, rows, first, last, isScrolling, isSnapshot]);

  const unreadMarker = useUnreadMarker(chatId, isPinnedToEnd && !timeline.hasNewer);
  const jumpToUnread = async () => {
    const id = await chatStore.history.findFirstAfter(chatId, unreadMarker.lastReadId ?? 0);
    if (id !== null) onJump(id);
  };
  const announcement = useAnnouncements(chatId);

  handleRef.current = {
    scrollToEnd: () => {
      unreadMarker.clear();
      if (timeline.hasNewer) void chatStore.history.loadLatest(chatId).then(scrollToEnd);
      else scrollToEnd();
    },
    focus: () => scrollerRef.current?.focus(),
  };

  const [activeKey, setActiveKey] = useState<string | null>(null);
  const [lockedKey, setLockedKey] = useState<string | null>(null);
  // Shortcuts apply only after the arrow keys chose the message; after a click, typing goes to the composer.
  const isChosenByKey = useRef(false);
  /** Runs the action of a key of the focused message. */
  const runMessageKey = (event: KeyboardEvent<HTMLElement>) => {
    const row = event.target as HTMLElement;
    const id = Number(row.dataset.message);
    const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
    if (!id || hasModifier || row.tagName !== 'ARTICLE' || !isChosenByKey.current) return;
    const index = rows.indexOf(id);
    const message = index >= 0 ? rows.at(index) : null;
    if (message?.kind !== 'message') return;
    const entries = listMessageEntries(chatStore, t, message.message, row, handlers);
    const entry = findEntryByKey(entries, event.key);
    if (!entry) return;
    event.preventDefault();
    entry.run();
  };

  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    runMessageKey(event);
    if (event.defaultPrevented) return;
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const isInside = event.target === scrollerRef.current || (event.target as HTMLElement).tagName === 'ARTICLE';
    if (!step || !isInside || event.altKey) return;
    event.preventDefault();
    const at = items.find((item) => item.key === activeKey)?.index ?? rows.count;
    const next = Math.max(0, Math.min(rows.count - 1, at + step));
    isChosenByKey.current = true;
    setActiveKey(rows.getKey(next));
    virtualizer.scrollToIndex(next, { align: 'auto' });
    requestAnimationFrame(() => {
      // Another key may have opened the editor meanwhile.
      if (document.activeElement?.tagName === 'TEXTAREA') return;
      scrollerRef.current?.querySelector<HTMLElement>(`[data-index="${next}"] article`)?.focus();
    });
  };

  const newCount = unreadMarker.count;
  useToday();
  // Scrolled up, the day of the first visible message stays in sight.
  const firstShown = isPinnedToEnd ? null : getFirstMessage(rows, items, virtualizer.scrollOffset ?? 0);
  return (
    <div className={styles.timeline}>
      {timeline.loading !== 'idle' && timeline.messages.length > 0 && (
        <progress className={styles.progress} aria-label={t('loading')} />
      )}
      {unreadMarker.isAboveLoaded && (
        <button type="button" className={styles.unreadBanner} onClick={() => withToast(jumpToUnread)}>
          {t('timeline.unreadMessages', { count: unreadMarker.initialUnreadCount })}
          <strong>{t('timeline.jumpToUnread')}</strong>
        </button>
      )}
      {firstShown && (
        <button
          type="button"
          className={styles.stickyDate}
          data-tooltip={t('timeline.jumpToDate')}
          onClick={() => openModal({ kind: 'dateJump', chatId, onJump })}
        >
          {formatDay(firstShown.created_at)}
        </button>
      )}
      {timeline.hasNewer && rows.count > 0 && (
        <p className={styles.olderBanner}>
          {t('timeline.viewingOlder')}
          <button type="button" onClick={() => onJump(null)}>
            {newCount > 0 ? t('timeline.newMessages', { count: newCount }) : t('timeline.jumpToLatest')}
          </button>
        </p>
      )}
      <div
        ref={scrollerRef}
        className={styles.scroller}
        role="log"
        aria-live="off"
        aria-label={t('timeline.label')}
        aria-busy={timeline.loading !== 'idle'}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
        tabIndex={0}
        onScroll={onScroll}
        onKeyDown={onKeyDown}
        onPointerDown={() => {
          isChosenByKey.current = false;
        }}
        onPointerLeave={({ pointerType }) => pointerType === 'mouse' && setActiveKey(null)}
      >
        <div className={styles.content} style={{ height: virtualizer.getTotalSize() }}>
          <div className={styles.visibleRows} style={{ transform: `translateY(${items[0]?.start ?? 0}px)` }}>
            {items.map((item) => {
              const row = rows.at(item.index);
              const isActive = (lockedKey ?? activeKey) === row.key;
              return (
                <div key={item.key} data-index={item.index} ref={virtualizer.measureElement} className={styles.row}>
                  {row.kind === 'start' && <ConversationStart chatId={chatId} />}
                  {row.kind === 'pending' && (
                    <PendingRow pending={row.pending} isGroupStart={row.isGroupStart} isNewDay={row.isNewDay} />
                  )}
                  {row.kind === 'message' && (
                    <MessageRow
                      message={row.message}
                      isGroupStart={row.isGroupStart}
                      isNewDay={row.isNewDay}
                      isFirstUnread={row.message.id === unreadMarker.firstUnreadId}
                      isActive={isActive}
                      isHighlighted={row.message.id === highlightedId}
                      editText={row.message.id === edit?.message.id ? edit.text : null}
                      onEditChange={props.onEditChange}
                      onActivate={setActiveKey}
                      onLock={setLockedKey}
                      handlers={handlers}
                      onJump={onJump}
                      rowKey={row.key}
                    />
                  )}
                </div>
              );
            })}
          </div>
        </div>
      </div>
      {timeline.messages.length === 0 && timeline.loading === 'initial' && <TimelineSkeleton />}
      {timeline.failure && (
        <p role="alert" className={styles.error}>
          <Icon name="warn" size={18} />
          {timeline.failure}
          <Button
            onClick={() =>
              timeline.messages.length === 0
                ? target === null
                  ? chatStore.history.loadLatest(chatId)
                  : chatStore.history.loadAround(chatId, target)
                : timeline.hasOlder
                  ? chatStore.history.loadOlder(chatId)
                  : chatStore.history.loadNewer(chatId)
            }
          >
            {t('retry')}
          </Button>
        </p>
      )}
      {!isPinnedToEnd && !timeline.hasNewer && rows.count > 0 && (
        <button type="button" className={styles.jumpToLatest} data-new={newCount > 0} onClick={() => onJump(null)}>
          <Icon name="down" size={16} />
          {newCount > 0 ? t('timeline.newMessages', { count: newCount }) : t('timeline.jumpToLatest')}
        </button>
      )}
      <p className="visually-hidden" aria-live="polite">
        {announcement}
      </p>
    </div>
  );
}

/** The first message at or below the upper edge. */
function getFirstMessage(rows: TimelineRows, items: readonly VirtualItem[], scrollOffset: number): Message | null {
  const first = items.find((item) => item.end > scrollOffset);
  const row = first ? getRowAt(rows, first) : null;
  return row?.kind === 'message' ? row.message : null;
}

function getRowAt(rows: TimelineRows, item: VirtualItem) {
  return item.index < rows.count ? rows.at(item.index) : null;
}

/** The pending messages of a chat, oldest first. */
function usePendingMessages(chatId: number): readonly PendingMessage[] {
  return useChatState(({ pending }) =>
    [...pending.values()].filter((one) => one.chatId === chatId).sort((one, other) => one.at - other.at),
  );
}

/** A placeholder for messages that are loading. */
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
