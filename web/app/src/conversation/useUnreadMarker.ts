import type { Message } from '@confab/sdk';
import { useEffect, useRef, useState } from 'react';
import { EMPTY_TIMELINE } from '../store/chatState';
import { useChatState, useChatStore } from '../store/hooks';

/**
 * What is new to the reader: the line stays where it was when the chat was opened,
 * and goes when they answer or come back to the end.
 */
export function useUnreadMarker(chatId: number, isAtEnd: boolean) {
  const chatStore = useChatStore();
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const timeline = useChatState(({ timelines }) => timelines.get(chatId) ?? EMPTY_TIMELINE);
  const myId = chatStore.account.id;
  const [lastReadId, setLastReadId] = useState<number | null>(() =>
    (chat?.unread_count ?? 0) > 0 ? (chat?.last_read_message_id ?? 0) : null,
  );
  // What was unread when the chat was opened, as the line is.
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

  // What comes while nobody looks, or further down, is new too.
  const unread = chat?.unread_count ?? 0;
  useEffect(() => {
    if (unread > 0 && !(isAtEnd && isFocused)) {
      // While nobody looks the line begins anew; further up it stays.
      const readMarker = chat?.last_read_message_id ?? 0;
      setLastReadId((now) => (isAtEnd ? readMarker : (now ?? readMarker)));
    }
  }, [unread, isAtEnd, isFocused, chat?.last_read_message_id]);

  useEffect(() => {
    if (isAtEnd && isFocused && lastId > 0) chatStore.receipts.markRead(chatId, lastId);
  }, [chatStore, chatId, isAtEnd, isFocused, lastId]);

  // Coming back to the end has read it.
  const wasAtEnd = useRef(isAtEnd);
  useEffect(() => {
    if (isAtEnd && !wasAtEnd.current) setLastReadId(null);
    wasAtEnd.current = isAtEnd;
  }, [isAtEnd]);

  const isNew = (message: Message) => lastReadId !== null && message.id > lastReadId && message.sender_id !== myId;
  const firstUnreadId = lastReadId === null ? null : (timeline.messages.find(isNew)?.id ?? null);
  // The line cannot be shown, because it lies in what was not read yet.
  const isMarkerUnloaded = lastReadId !== null && (timeline.messages[0]?.id ?? 0) > lastReadId && timeline.hasOlder;
  return {
    firstUnreadId: isMarkerUnloaded ? null : firstUnreadId,
    /** How many came since, further down. */
    count: isAtEnd ? 0 : unread,
    /** The message that was read last; 0 if none was, null if there is nothing new. */
    lastReadId,
    /** Whether what is new begins further up than what was fetched. */
    isAboveLoaded: isMarkerUnloaded && isJumpOffered && initialUnreadCount > 0,
    initialUnreadCount,
    clear: () => {
      setLastReadId(null);
      setIsJumpOffered(false);
    },
  };
}
