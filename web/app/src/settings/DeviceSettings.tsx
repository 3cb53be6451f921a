import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { chooseLanguage, getChosenLanguage, LANGUAGES, type Language } from '../locales/language';
import { chooseHourCycle, getChosenHourCycle, type HourCycle } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { Button } from '../ui/Button';
import { SelectField } from '../ui/Field';
import { changePreferences, FONT_SIZES, getPreferences } from './preferences';
import { getTheme, setTheme, type Theme } from './theme';

/** The settings of this browser, apart from its notifications. */
export function DeviceSettings() {
  const { t } = useTranslation();
  const [theme, selectTheme] = useState(getTheme);
  const [preferences, setPreferences] = useState(getPreferences);
  const [, navigate] = useLocation();
  const changeTheme = (next: Theme) => {
    setTheme(next);
    selectTheme(next);
  };
  const change = (next: Parameters<typeof changePreferences>[0]) => {
    changePreferences(next);
    setPreferences(getPreferences());
  };
  return (
    <div className={styles.form}>
      <fieldset className={styles.choices}>
        <legend>{t('settings.appearance')}</legend>
        {(['system', 'light', 'dark'] as const).map((one) => (
          <label key={one}>
            <input type="radio" name="theme" checked={theme === one} onChange={() => changeTheme(one)} />
            {t(`settings.themes.${one}`)}
          </label>
        ))}
      </fieldset>
      <fieldset className={styles.choices}>
        <legend>{t('settings.density')}</legend>
        {(['cozy', 'compact'] as const).map((one) => (
          <label key={one}>
            <input
              type="radio"
              name="density"
              checked={preferences.density === one}
              onChange={() => change({ density: one })}
            />
            {t(`settings.densities.${one}`)}
          </label>
        ))}
      </fieldset>
      <SelectField
        label={t('settings.fontSize')}
        value={preferences.fontSize}
        onChange={({ target }) => change({ fontSize: Number(target.value) as (typeof FONT_SIZES)[number] })}
      >
        {FONT_SIZES.map((size) => (
          <option key={size} value={size}>
            {size} %
          </option>
        ))}
      </SelectField>
      <SelectField
        label={t('settings.timeFormat')}
        value={getChosenHourCycle() ?? ''}
        hint={t('settings.reloads')}
        onChange={({ target }) => chooseHourCycle((target.value || null) as HourCycle | null)}
      >
        <option value="">{t('settings.fromBrowser')}</option>
        <option value="h23">{t('settings.hours24')}</option>
        <option value="h12">{t('settings.hours12')}</option>
      </SelectField>
      {Object.keys(LANGUAGES).length > 1 && (
        <SelectField
          label={t('settings.language')}
          value={getChosenLanguage() ?? ''}
          hint={t('settings.reloads')}
          onChange={({ target }) => chooseLanguage((target.value || null) as Language | null)}
        >
          <option value="">{t('settings.fromBrowser')}</option>
          {Object.entries(LANGUAGES).map(([name, label]) => (
            <option key={name} value={name} lang={name}>
              {label}
            </option>
          ))}
        </SelectField>
      )}
      <section className={styles.row} aria-label={t('settings.advanced')}>
        <div>
          <strong>{t('debug.title')}</strong>
          <p>{t('debug.hint')}</p>
        </div>
        <Button onClick={() => navigate('/debug')}>{t('chats.open')}</Button>
      </section>
    </div>
  );
}
