import type { NotificationLevel, QuietHours } from '@confab/sdk';
import { type FormEvent, useEffect, useState } from 'react';
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
import { NotificationLevelOptions } from './NotificationLevelOptions';
import { getQuietEnd, QUIET_TIMES } from './quietTimes';
import { useSendsMail } from './useSendsMail';

/** The quiet hours that are offered first. */
const DEFAULT_QUIET_HOURS = { from: '22:00', until: '07:00' };

/** The longest time of a timer, in milliseconds. */
const MAX_TIMER_MS = 2_147_483_647;

/** What notifies the user, on this device and on all. */
export function NotificationSettings() {
  return (
    <div className={styles.form}>
      <DeviceNotifications />
      <Pause />
      <Levels />
      <Keywords />
      <QuietHoursForm />
      <EmailDigest />
    </div>
  );
}

/** Digests by mail, if the server sends mail. */
function EmailDigest() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const isOn = useChatState((state) => state.notificationSettings.email_digest);
  const { error, run } = useAction();
  const sendsMail = useSendsMail();
  if (!sendsMail) return null;
  return (
    <div className={styles.form}>
      <label>
        <input
          type="checkbox"
          checked={isOn}
          onChange={({ target }) => run(() => notificationSettings.update({ email_digest: target.checked }))}
        />{' '}
        {t('notifications.emailDigest')}
      </label>
      <p className={styles.hint}>{t('notifications.emailDigestHint')}</p>
      <FormError>{error}</FormError>
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
  const remaining = pausedUntil === null ? 0 : Date.parse(pausedUntil) - Date.now();
  const isPaused = pausedUntil !== null && remaining > 0;
  const [, rerender] = useState(0);
  useEffect(() => {
    if (remaining <= 0 || remaining > MAX_TIMER_MS) return;
    const timer = setTimeout(() => rerender((count) => count + 1), remaining);
    return () => clearTimeout(timer);
  }, [remaining]);
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
          <NotificationLevelOptions />
        </SelectField>
      ))}
      <FormError>{error}</FormError>
    </>
  );
}

function Keywords() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const stored = useChatState((state) => state.notificationSettings.keywords.join(', '));
  const { error, run } = useAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const words = String(new FormData(event.currentTarget).get('keywords') ?? '').split(',');
    const keywords = words.map((word) => word.trim()).filter((word) => word !== '');
    void run(async () => {
      await notificationSettings.update({ keywords });
      showToast(t('settings.saved'));
    });
  };
  return (
    // Another device may change them.
    <form className={styles.form} onSubmit={submit} key={stored}>
      <Field
        label={t('notifications.keywords')}
        name="keywords"
        defaultValue={stored}
        hint={t('notifications.keywordsHint')}
        maxLength={1100}
      />
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit">{t('notifications.saveKeywords')}</Button>
      </div>
    </form>
  );
}

function QuietHoursForm() {
  const { t } = useTranslation();
  const { notificationSettings } = useChatStore().client.api;
  const stored = useChatState((state) => state.notificationSettings.quiet_hours);
  const [isOn, setIsOn] = useState(stored !== null);
  const { error, run } = useAction();
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  const hasOtherTimeZone = stored !== null && stored.time_zone !== timeZone;
  const save = (quiet_hours: QuietHours | null) =>
    run(async () => {
      await notificationSettings.update({ quiet_hours });
      showToast(t('settings.saved'));
    });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const read = (name: string) => String(form.get(name) ?? '');
    void save({ from: read('from'), until: read('until'), time_zone: timeZone });
  };
  const toggle = (isOn: boolean) => {
    setIsOn(isOn);
    if (!isOn && stored !== null) void save(null);
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <label>
        <input type="checkbox" checked={isOn} onChange={({ target }) => toggle(target.checked)} />{' '}
        {t('notifications.quietHours')}
      </label>
      {isOn && (
        <>
          <div className={styles.row} key={`${stored?.from} ${stored?.until}`}>
            {(['from', 'until'] as const).map((end) => (
              <Field
                key={end}
                type="time"
                label={t(`notifications.${end}`)}
                name={end}
                defaultValue={(stored ?? DEFAULT_QUIET_HOURS)[end]}
                required
              />
            ))}
          </div>
          <p className={styles.hint}>
            {hasOtherTimeZone
              ? t('notifications.otherTimeZone', { zone: stored.time_zone, own: timeZone })
              : t('notifications.timeZone', { zone: timeZone })}
          </p>
          <div className={styles.actions}>
            <Button type="submit">{t('notifications.saveQuietHours')}</Button>
          </div>
        </>
      )}
      <FormError>{error}</FormError>
    </form>
  );
}
