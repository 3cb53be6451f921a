import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isBlocked } from '../store/chatState';
import { getAuthorName, getMessagePreview, useChatStore } from '../store/hooks';

/** Minimum time between screen reader announcements, in milliseconds. */
const ANNOUNCE_INTERVAL_MS = 3_000;

/** The screen reader announcement: the new message, or the number of new messages. */
export function useAnnouncements(chatId: number): string {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [announcement, setAnnouncement] = useState('');
  const queue = useRef<string[]>([]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const announce = () => {
      timer = null;
      const [first, ...others] = queue.current;
      if (first === undefined) return;
      setAnnouncement(others.length === 0 ? first : t('timeline.announcement', { count: others.length + 1 }));
      queue.current = [];
      timer = setTimeout(announce, ANNOUNCE_INTERVAL_MS);
    };
    const unsubscribe = chatStore.client.on('message.new', ({ chat_id, message }) => {
      const { state } = chatStore;
      if (chat_id !== chatId || message.sender_id === chatStore.account.id) return;
      if (message.kind === 'system') return;
      if (state && isBlocked(state, message.sender_id)) return;
      const name = getAuthorName(message, chatStore.state?.users.get(message.sender_id ?? 0));
      queue.current.push(`${name}: ${getMessagePreview(message)}`);
      timer ??= setTimeout(announce, 200);
    });
    return () => {
      unsubscribe();
      if (timer !== null) clearTimeout(timer);
    };
  }, [chatStore, chatId, t]);
  return announcement;
}
