import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './ConnectionBanner.module.css';
import { useChatState, useChatStore } from './store/hooks';

/** Delay before the banner appears, in milliseconds. Most connections recover sooner. */
const SHOW_DELAY_MS = 3_000;

/** A one-line banner shown while the connection is down. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const state = useChatState(({ connection }) => connection.to);
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
  return (
    <div role="status" className={styles.container}>
      {isDelayOver && !isConnected && (
        <p className={styles.banner}>
          {state === 'offline' ? t('connection.offline') : t('connection.reconnecting')}
          <button type="button" onClick={() => chatStore.retryNow()}>
            {t('connection.retryNow')}
          </button>
        </p>
      )}
    </div>
  );
}
