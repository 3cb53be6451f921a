import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lineOf, nameOf, useHouse } from '../world/use';

/** New messages are read out at most so often, in milliseconds. */
const EVERY_MS = 3_000;

/** What is read out to those who do not see: each message, or how many. */
export function useAnnouncements(chatId: number): string {
  const { t } = useTranslation();
  const house = useHouse();
  const [said, setSaid] = useState('');
  const waiting = useRef<string[]>([]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const say = () => {
      timer = null;
      const [only, ...others] = waiting.current;
      if (only === undefined) return;
      setSaid(others.length === 0 ? only : t('timeline.announced', { count: others.length + 1 }));
      waiting.current = [];
      timer = setTimeout(say, EVERY_MS);
    };
    const stop = house.client.on('message.new', ({ chat_id, message }) => {
      if (chat_id !== chatId || message.sender_id === house.account.id) return;
      const name = nameOf(house.world?.people.get(message.sender_id ?? 0));
      waiting.current.push(`${name}: ${lineOf(message)}`);
      timer ??= setTimeout(say, 200);
    });
    return () => {
      stop();
      if (timer !== null) clearTimeout(timer);
    };
  }, [house, chatId, t]);
  return said;
}
