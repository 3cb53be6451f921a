import type { Message } from '@confab/sdk';
import { useEffect, useRef, useState } from 'react';
import { useHouse, useWorld } from '../world/use';
import { EMPTY } from '../world/world';

/**
 * What is new to the reader: the line stays where it was when the chat was opened,
 * and goes when they answer or come back to the end.
 */
export function useUnread(chatId: number, isAtEnd: boolean) {
  const house = useHouse();
  const row = useWorld(({ chats }) => chats.get(chatId));
  const run = useWorld(({ timelines }) => timelines.get(chatId) ?? EMPTY);
  const me = house.account.id;
  const [after, setAfter] = useState<number | null>(() =>
    (row?.unread_count ?? 0) > 0 ? (row?.last_read_message_id ?? 0) : null,
  );
  // What was unread when the chat was opened, as the line is.
  const [total] = useState(row?.unread_count ?? 0);
  const [isAsked, setIsAsked] = useState(true);
  const [isLooking, setIsLooking] = useState(() => document.hasFocus());
  const lastId = run.messages.at(-1)?.id ?? 0;

  useEffect(() => {
    const look = () => setIsLooking(document.hasFocus() && document.visibilityState === 'visible');
    const events = ['focus', 'blur', 'visibilitychange'] as const;
    for (const name of events) addEventListener(name, look);
    return () => {
      for (const name of events) removeEventListener(name, look);
    };
  }, []);

  // What comes while nobody looks, or further down, is new too.
  const unread = row?.unread_count ?? 0;
  useEffect(() => {
    if (unread > 0 && !(isAtEnd && isLooking)) {
      // While nobody looks the line begins anew; further up it stays.
      const mark = row?.last_read_message_id ?? 0;
      setAfter((now) => (isAtEnd ? mark : (now ?? mark)));
    }
  }, [unread, isAtEnd, isLooking, row?.last_read_message_id]);

  useEffect(() => {
    if (isAtEnd && isLooking && lastId > 0) house.receipts.read(chatId, lastId);
  }, [house, chatId, isAtEnd, isLooking, lastId]);

  // Coming back to the end has read it.
  const wasAtEnd = useRef(isAtEnd);
  useEffect(() => {
    if (isAtEnd && !wasAtEnd.current) setAfter(null);
    wasAtEnd.current = isAtEnd;
  }, [isAtEnd]);

  const isNew = (message: Message) => after !== null && message.id > after && message.sender_id !== me;
  const firstNew = after === null ? null : (run.messages.find(isNew)?.id ?? null);
  // The line cannot be shown, because it lies in what was not read yet.
  const isOutside = after !== null && (run.messages[0]?.id ?? 0) > after && run.hasOlder;
  return {
    firstNew: isOutside ? null : firstNew,
    /** How many came since, further down. */
    count: isAtEnd ? 0 : unread,
    /** The message that was read last; 0 if none was, null if there is nothing new. */
    after,
    /** Whether what is new begins further up than what was fetched. */
    isAbove: isOutside && isAsked && total > 0,
    total,
    clear: () => {
      setAfter(null);
      setIsAsked(false);
    },
  };
}
