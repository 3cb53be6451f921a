import { isRetryable, type Message } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useChatState, useChatStore } from '../store/hooks';

/** After this time a quote that could not be loaded is loaded again, in milliseconds. */
const RETRY_DELAY_MS = 5_000;

/**
 * Loads a message that is quoted, and follows its changes: null while it is loading, 'unavailable' if the user may not
 * read it.
 */
export function useQuotedMessage(chatId: number, id: number): Message | 'unavailable' | null {
  const chatStore = useChatStore();
  const loaded = useChatState(({ timelines }) => timelines.get(chatId)?.messages.find((one) => one.id === id) ?? null);
  const isMember = useChatState(({ chats }) => chats.has(chatId));
  const [fetched, setFetched] = useState<Message | 'unavailable' | null>(null);
  const isLoaded = loaded !== null;
  useEffect(() => {
    if (isLoaded || !isMember) return;
    let isCancelled = false;
    let timer: ReturnType<typeof setTimeout>;
    const load = () =>
      chatStore.loadQuotedMessage(id).then(
        (message) => !isCancelled && setFetched(message),
        (error) => {
          if (isCancelled) return;
          if (isRetryable(error)) timer = setTimeout(load, RETRY_DELAY_MS);
          else setFetched('unavailable');
        },
      );
    const reload = () => {
      chatStore.forgetQuotedMessage(id);
      void load();
    };
    void load();
    const unsubscribers = [
      chatStore.client.on('message.updated', ({ message }) => message.id === id && reload()),
      chatStore.client.on('message.deleted', ({ message_id }) => message_id === id && reload()),
    ];
    return () => {
      isCancelled = true;
      clearTimeout(timer);
      for (const unsubscribe of unsubscribers) unsubscribe();
    };
  }, [isLoaded, isMember, id, chatStore]);
  return isMember ? (loaded ?? fetched) : 'unavailable';
}
