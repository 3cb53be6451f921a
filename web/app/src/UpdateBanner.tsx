import { useTranslation } from 'react-i18next';
import styles from './ConnectionBanner.module.css';
import { useIsOutdated } from './offline';

/** Offers to reload a page that is older than its server. It works until then: its scripts are stored. */
export function UpdateBanner() {
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
