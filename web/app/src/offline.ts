import { useEffect } from 'react';
import { registerServiceWorker } from './serviceWorker';
import { useChatStore } from './store/hooks';

/** Delay before pages, scripts and chats are stored, in milliseconds. The first screen needs the network. */
const PREPARE_DELAY_MS = 3_000;

/** Prepares this page to open without a connection, with what the account last saw. */
export function useOfflineStart(): void {
  const chatStore = useChatStore();
  useEffect(() => {
    // If this fails, the page only needs a connection to open.
    const prepare = () => Promise.all([registerServiceWorker(), chatStore.startSnapshots()]).catch(() => {});
    const timer = setTimeout(prepare, PREPARE_DELAY_MS);
    return () => clearTimeout(timer);
  }, [chatStore]);
  useEffect(() => {
    const handleVisibility = () => document.visibilityState === 'hidden' && chatStore.saveSnapshot();
    document.addEventListener('visibilitychange', handleVisibility);
    return () => document.removeEventListener('visibilitychange', handleVisibility);
  }, [chatStore]);
}
