import type { Message } from '@confab/sdk';
import { useEffect, useRef, useState } from 'react';
import { EMPTY_TIMELINE } from '../store/chatState';
import { useChatState, useChatStore } from '../store/hooks';

/**
 * The unread marker. It stays where it was when the chat was opened, or moves to what the user marks as unread, until the user
 * sends a message or scrolls back to the end.
 */
export function useUnreadMarker(chatId: number, isAtEnd: boolean) {
  const chatStore = useChatStore();
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const timeline = useChatState(({ timelines }) => timelines.get(chatId) ?? EMPTY_TIMELINE);
  const myId = chatStore.account.id;
  const [lastReadId, setLastReadId] = useState<number | null>(() =>
    (chat?.unread_count ?? 0) > 0 ? (chat?.last_read_message_id ?? 0) : null,
  );
  // The unread count when the chat was opened. Like the marker, it does not change.
  const [initialUnreadCount] = useState(chat?.unread_count ?? 0);
  const [isJumpOffered, setIsJumpOffered] = useState(true);
  const [isFocused, setIsFocused] = useState(() => document.hasFocus());
  const lastId = timeline.messages.at(-1)?.id ?? 0;

  useEffect(() => {
    const updateFocus = () => setIsFocused(document.hasFocus() && document.visibilityState === 'visible');
    const events = ['focus', 'blur', 'visibilitychange'] as const;
    for (const name of events) addEventListener(name, updateFocus);
    return () => {
      for (const name of events) removeEventListener(name, updateFocus);
    };
  }, []);

  // Messages that arrive while the page is unfocused or scrolled up are unread too.
  const unread = chat?.unread_count ?? 0;
  useEffect(() => {
    if (unread > 0 && !(isAtEnd && isFocused)) {
      // At the end, an unfocused page moves the marker; scrolled up, the marker stays.
      const readMarker = chat?.last_read_message_id ?? 0;
      setLastReadId((now) => (isAtEnd ? readMarker : (now ?? readMarker)));
    }
  }, [unread, isAtEnd, isFocused, chat?.last_read_message_id]);

  // After leaving the chat or sending, reading is automatic again.
  useEffect(() => () => chatStore.receipts.resumeAutoRead(chatId), [chatStore, chatId]);
  // The user has marked messages as unread.
  const readUpTo = chat?.last_read_message_id ?? 0;
  const lastReadUpTo = useRef(readUpTo);
  useEffect(() => {
    if (readUpTo < lastReadUpTo.current) setLastReadId(readUpTo);
    lastReadUpTo.current = readUpTo;
  }, [readUpTo]);

  useEffect(() => {
    if (isAtEnd && isFocused && lastId > 0) chatStore.receipts.markRead(chatId, lastId);
  }, [chatStore, chatId, isAtEnd, isFocused, lastId]);

  // Scrolling back to the end marks everything as read.
  const wasAtEnd = useRef(isAtEnd);
  useEffect(() => {
    if (isAtEnd && !wasAtEnd.current) setLastReadId(null);
    wasAtEnd.current = isAtEnd;
  }, [isAtEnd]);

  const isNew = (message: Message) =>
    lastReadId !== null && message.id > lastReadId && message.sender_id !== myId && message.kind !== 'system';
  const firstUnreadId = lastReadId === null ? null : (timeline.messages.find(isNew)?.id ?? null);
  // The marker is above the loaded messages, so it cannot be shown.
  const isMarkerUnloaded = lastReadId !== null && (timeline.messages[0]?.id ?? 0) > lastReadId && timeline.hasOlder;
  return {
    firstUnreadId: isMarkerUnloaded ? null : firstUnreadId,
    /** Number of new messages below the viewport. */
    count: isAtEnd ? 0 : unread,
    /** The last read message; 0 if none was read, null if nothing is unread. */
    lastReadId,
    /** Whether the first unread message is above the loaded messages. */
    isAboveLoaded: isMarkerUnloaded && isJumpOffered && initialUnreadCount > 0,
    initialUnreadCount,
    clear: () => {
      chatStore.receipts.resumeAutoRead(chatId);
      if (lastId > 0 && !timeline.hasNewer) chatStore.receipts.markRead(chatId, lastId);
      setLastReadId(null);
      setIsJumpOffered(false);
    },
  };
}
