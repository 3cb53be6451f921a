import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './Offline.module.css';
import { useHouse, useWorld } from './world/use';

/** A break that heals by itself sooner than this is nobody's business, in milliseconds. */
const PATIENCE_MS = 3_000;

/** One slim line while nothing new can be heard. */
export function Offline() {
  const { t } = useTranslation();
  const house = useHouse();
  const state = useWorld(({ connection }) => connection.to);
  const isWhole = state === 'live' || state === 'catching_up';
  const [isLong, setIsLong] = useState(false);
  useEffect(() => {
    if (isWhole) {
      setIsLong(false);
      return;
    }
    const timer = setTimeout(() => setIsLong(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isWhole]);
  return (
    <div role="status" className={styles.place}>
      {isLong && !isWhole && (
        <p className={styles.bar}>
          {state === 'offline' ? t('offline.noNetwork') : t('offline.noServer')}
          <button type="button" onClick={() => house.hurry()}>
            {t('offline.now')}
          </button>
        </p>
      )}
    </div>
  );
}
