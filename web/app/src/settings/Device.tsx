import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Button } from '../ui/Button';
import { turnNotifications, wantsNotifications } from './notifications';
import { chooseTheme, type Theme, theme } from './theme';

/** What is set for this browser alone. */
export function Device() {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState(theme);
  const [notifies, setNotifies] = useState(wantsNotifications);
  const choose = (next: Theme) => {
    chooseTheme(next);
    setChosen(next);
  };
  return (
    <div className={styles.form}>
      <fieldset className={styles.choices} aria-label={t('settings.theme')}>
        {(['system', 'light', 'dark'] as const).map((one) => (
          <label key={one}>
            <input type="radio" name="theme" checked={chosen === one} onChange={() => choose(one)} />
            {t(`settings.themes.${one}`)}
          </label>
        ))}
      </fieldset>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.notify')}</strong>
          <p>{t('settings.notifyHint')}</p>
        </div>
        <Button aria-pressed={notifies} onClick={async () => setNotifies(await turnNotifications(!notifies))}>
          {notifies ? t('settings.notifyOff') : t('settings.notifyOn')}
        </Button>
      </div>
    </div>
  );
}
