import type { Preview } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { areNotificationsBlocked, areNotificationsEnabled, setNotificationsEnabled } from './notifications';
import { disablePush, enablePush, getPushPreview, isPushSupported } from './push';
import { getTheme, setTheme, type Theme } from './theme';

/** The settings of this browser. */
export function DeviceSettings() {
  const { t } = useTranslation();
  const [selected, setSelected] = useState(getTheme);
  const [isNotifying, setIsNotifying] = useState(areNotificationsEnabled);
  const { client, account } = useChatStore();
  const [preview, setPreview] = useState(() => getPushPreview(account.id));
  const { error, run } = useAction();
  const push = (next: Preview) =>
    run(async () => {
      await enablePush(client.api, account.id, next);
      setPreview(next);
    });
  const toggleNotifications = async () => {
    if (isNotifying && preview) {
      const isEnded = await run(() => disablePush(client.api, account.id));
      if (!isEnded) return;
      setPreview(null);
    }
    const isGranted = await setNotificationsEnabled(!isNotifying);
    setIsNotifying(isGranted);
    if (isGranted && isPushSupported()) await push('full');
  };
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
        <Button aria-pressed={isNotifying} onClick={toggleNotifications}>
          {isNotifying ? t('settings.disableNotifications') : t('settings.enableNotifications')}
        </Button>
      </div>
      {isNotifying && preview && <p>{t('settings.pushOn')}</p>}
      {isNotifying && !preview && (
        <div className={styles.row}>
          <p>{t(isPushSupported() ? 'settings.pushOff' : 'settings.pushNeedsHttps')}</p>
          {isPushSupported() && <Button onClick={() => push('full')}>{t('settings.enablePush')}</Button>}
        </div>
      )}
      {!isNotifying && areNotificationsBlocked() && <p role="alert">{t('settings.notificationsBlocked')}</p>}
      <FormError>{error}</FormError>
      {preview && (
        <SelectField
          label={t('settings.preview')}
          value={preview}
          onChange={(event) => push(event.target.value as Preview)}
        >
          {(['full', 'sender', 'none'] as const).map((one) => (
            <option key={one} value={one}>
              {t(`settings.previews.${one}`)}
            </option>
          ))}
        </SelectField>
      )}
    </div>
  );
}
