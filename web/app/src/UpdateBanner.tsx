import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './ConnectionBanner.module.css';
import { useChatState } from './store/hooks';

/** Offers to reload a page that is older than its server. It works until then: its scripts are stored. */
export default function UpdateBanner() {
  const { t } = useTranslation();
  const isOutdated = useIsOutdated();
  return (
    <div role="status">
      {isOutdated && (
        <p className={styles.banner}>
          {t('update.available')}
          <button type="button" onClick={() => location.reload()}>
            {t('update.reload')}
          </button>
        </p>
      )}
    </div>
  );
}

/** Whether the server has another build of this page. Asked each time the connection is live again. */
function useIsOutdated(): boolean {
  const isLive = useChatState(({ connection }) => connection.to === 'live');
  const wasLive = useRef(false);
  const [isOutdated, setIsOutdated] = useState(false);
  useEffect(() => {
    if (!isLive) return;
    // During an update, servers of both builds may answer: each check replaces the one before.
    if (wasLive.current) void hasOtherBuild().then(setIsOutdated);
    wasLive.current = true;
  }, [isLive]);
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
