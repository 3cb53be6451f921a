import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { Button } from '../ui/Button';
import { areNotificationsEnabled, setNotificationsEnabled } from './notifications';
import { getTheme, setTheme, type Theme } from './theme';

/** The settings of this browser. */
export function DeviceSettings() {
  const { t } = useTranslation();
  const [selected, setSelected] = useState(getTheme);
  const [isNotifying, setIsNotifying] = useState(areNotificationsEnabled);
  const selectTheme = (next: Theme) => {
    setTheme(next);
    setSelected(next);
  };
  return (
    <div className={styles.form}>
      <fieldset className={styles.choices} aria-label={t('settings.appearance')}>
        {(['system', 'light', 'dark'] as const).map((one) => (
          <label key={one}>
            <input type="radio" name="theme" checked={selected === one} onChange={() => selectTheme(one)} />
            {t(`settings.themes.${one}`)}
          </label>
        ))}
      </fieldset>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.notifications')}</strong>
          <p>{t('settings.notificationsHint')}</p>
        </div>
        <Button
          aria-pressed={isNotifying}
          onClick={async () => setIsNotifying(await setNotificationsEnabled(!isNotifying))}
        >
          {isNotifying ? t('settings.disableNotifications') : t('settings.enableNotifications')}
        </Button>
      </div>
    </div>
  );
}
