import type { NotificationLevel, QuietHours } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatUpcomingTime } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { DeviceNotifications } from './DeviceNotifications';
import { getQuietEnd, QUIET_TIMES } from './quietTimes';

/** The quiet hours that are offered first. */
const DEFAULT_QUIET_HOURS = { from: '22:00', until: '07:00' };

/** What notifies the user, on this device and on all. */
export function NotificationSettings() {
  return (
    <div className={styles.form}>
      <DeviceNotifications />
      <Pause />
      <Levels />
      <WordsAndHours />
    </div>
  );
}

/** Do not disturb, for a while. */
function Pause() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const isBusy = useChatState(({ me, presences }) => presences.get(me.id)?.status === 'busy');
  const pausedUntil = useChatState((state) => state.notificationSettings.dnd_until);
  const { error, run } = useAction();
  const isPaused = pausedUntil !== null && Date.parse(pausedUntil) > Date.now();
  const setEnd = (end: string | null) => run(() => notificationSettings.update({ dnd_until: end }));
  return (
    <section className={styles.row} aria-label={t('notifications.pause')}>
      <div>
        <strong>{t('notifications.pause')}</strong>
        <p>
          {isPaused
            ? t('notifications.pausedUntil', { time: formatUpcomingTime(pausedUntil) })
            : t('notifications.pauseHint')}
        </p>
        {isBusy && <p>{t('notifications.busy')}</p>}
        <FormError>{error}</FormError>
      </div>
      {isPaused ? (
        <Button onClick={() => setEnd(null)}>{t('notifications.resume')}</Button>
      ) : (
        <Menu trigger={<Button aria-haspopup="menu">{t('notifications.pauseFor')}</Button>} align="end">
          {QUIET_TIMES.map((time) => (
            <MenuItem key={time} onClick={() => setEnd(getQuietEnd(time))}>
              {t(`notifications.times.${time}`)}
            </MenuItem>
          ))}
        </Menu>
      )}
    </section>
  );
}

/** The levels of the types of chats. */
function Levels() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const settings = useChatState((state) => state.notificationSettings);
  const { error, run } = useAction();
  return (
    <>
      {(['direct_level', 'group_level', 'channel_level'] as const).map((field) => (
        <SelectField
          key={field}
          label={t(`notifications.${field}`)}
          value={settings[field]}
          onChange={({ target }) =>
            run(() => notificationSettings.update({ [field]: target.value as NotificationLevel }))
          }
        >
          {(['all', 'mentions', 'none'] as const).map((level) => (
            <option key={level} value={level}>
              {t(`notifications.levels.${level}`)}
            </option>
          ))}
        </SelectField>
      ))}
      <FormError>{error}</FormError>
    </>
  );
}

/** Keywords and quiet hours. */
function WordsAndHours() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const { keywords, quiet_hours } = useChatState((state) => state.notificationSettings);
  const [hasQuietHours, setHasQuietHours] = useState(quiet_hours !== null);
  const { error, run } = useAction();
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const read = (name: string) => String(form.get(name) ?? '');
    const hours: QuietHours | null = hasQuietHours
      ? { from: read('from'), until: read('until'), time_zone: timeZone }
      : null;
    const words = read('keywords')
      .split(',')
      .map((word) => word.trim());
    void run(async () => {
      await notificationSettings.update({ keywords: words.filter((word) => word !== ''), quiet_hours: hours });
      showToast(t('settings.saved'));
    });
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <Field
        label={t('notifications.keywords')}
        name="keywords"
        defaultValue={keywords.join(', ')}
        hint={t('notifications.keywordsHint')}
        maxLength={1100}
      />
      <label>
        <input type="checkbox" checked={hasQuietHours} onChange={({ target }) => setHasQuietHours(target.checked)} />{' '}
        {t('notifications.quietHours')}
      </label>
      {hasQuietHours && (
        <>
          <div className={styles.row}>
            {(['from', 'until'] as const).map((end) => (
              <Field
                key={end}
                type="time"
                label={t(`notifications.${end}`)}
                name={end}
                defaultValue={(quiet_hours ?? DEFAULT_QUIET_HOURS)[end]}
                required
              />
            ))}
          </div>
          <p className={styles.hint}>{t('notifications.timeZone', { zone: timeZone })}</p>
        </>
      )}
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" variant="primary">
          {t('save')}
        </Button>
      </div>
    </form>
  );
}
