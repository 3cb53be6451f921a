import type { Message } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useChatState, useChatStore } from '../store/hooks';

/** Loads a message that is quoted: null while it is loading, 'unavailable' if the user may not read it. */
export function useQuotedMessage(chatId: number, id: number): Message | 'unavailable' | null {
  const chatStore = useChatStore();
  const loaded = useChatState(({ timelines }) => timelines.get(chatId)?.messages.find((one) => one.id === id) ?? null);
  const [fetched, setFetched] = useState<Message | 'unavailable' | null>(null);
  const isLoaded = loaded !== null;
  useEffect(() => {
    if (isLoaded) return;
    let isCancelled = false;
    const set = (result: Message | 'unavailable') => {
      if (!isCancelled) setFetched(result);
    };
    chatStore.loadQuotedMessage(id).then(set, () => set('unavailable'));
    return () => {
      isCancelled = true;
    };
  }, [isLoaded, id, chatStore]);
  return loaded ?? fetched;
}
