import { useEffect, useState } from 'react';
import { registerServiceWorker } from './serviceWorker';
import { useChatState, useChatStore } from './store/hooks';

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

/** Whether the server has another build of this page. Asked each time the connection is live again. */
export function useIsOutdated(): boolean {
  const isLive = useChatState(({ connection }) => connection.to === 'live');
  const [wasLive, setWasLive] = useState(false);
  const [isOutdated, setIsOutdated] = useState(false);
  useEffect(() => {
    if (!isLive) return;
    if (wasLive) void hasOtherBuild().then((hasOther) => hasOther && setIsOutdated(true));
    setWasLive(true);
  }, [isLive, wasLive]);
  return isOutdated;
}

async function hasOtherBuild(): Promise<boolean> {
  const script = document.querySelector('script[type="module"][src]')?.getAttribute('src');
  if (!script) return false;
  try {
    const response = await fetch('/', { cache: 'no-cache', headers: { accept: 'text/html' } });
    return response.ok && !(await response.text()).includes(script);
  } catch {
    return false;
  }
}
