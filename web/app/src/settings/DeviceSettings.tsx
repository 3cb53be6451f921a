import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { getTheme, setTheme, type Theme } from './theme';

/** The settings of this browser, apart from its notifications. */
export function DeviceSettings() {
  const { t } = useTranslation();
  const [selected, setSelected] = useState(getTheme);
  const selectTheme = (next: Theme) => {
    setTheme(next);
    setSelected(next);
  };
  return (
    <fieldset className={styles.choices} aria-label={t('settings.appearance')}>
      {(['system', 'light', 'dark'] as const).map((one) => (
        <label key={one}>
          <input type="radio" name="theme" checked={selected === one} onChange={() => selectTheme(one)} />
          {t(`settings.themes.${one}`)}
        </label>
      ))}
    </fieldset>
  );
}
