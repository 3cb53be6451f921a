import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './ConnectionBanner.module.css';
import { formatRelativeTime } from './locales/time';
import { useChatState, useChatStore } from './store/hooks';

/** Delay before the banner appears, in milliseconds. Most connections recover sooner. */
const SHOW_DELAY_MS = 3_000;

/** A one-line banner shown while the connection is down. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const state = useChatState(({ connection }) => connection.to);
  const snapshotAt = useChatState((chatState) => chatState.snapshotAt);
  const isConnected = state === 'live' || state === 'catching_up';
  const [isDelayOver, setIsDelayOver] = useState(false);
  useEffect(() => {
    if (isConnected) {
      setIsDelayOver(false);
      return;
    }
    const timer = setTimeout(() => setIsDelayOver(true), SHOW_DELAY_MS);
    return () => clearTimeout(timer);
  }, [isConnected]);
  const getText = () => {
    if (snapshotAt !== null) return t('connection.snapshot', { time: formatRelativeTime(snapshotAt) });
    return state === 'offline' ? t('connection.offline') : t('connection.reconnecting');
  };
  return (
    <div role="status">
      {(isDelayOver || snapshotAt !== null) && !isConnected && (
        <p className={styles.banner}>
          {getText()}
          <button type="button" onClick={() => chatStore.retryNow()}>
            {t('connection.retryNow')}
          </button>
        </p>
      )}
    </div>
  );
}
