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

/** Turns notifications on this device on and off. */
export function DeviceNotifications() {
  const { t } = useTranslation();
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
  return (
    <section className={styles.form} aria-label={t('settings.notifications')}>
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
    </section>
  );
}
