import { useTranslation } from 'react-i18next';
import { formatFullTime, formatRelativeTime } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { useList } from '../ui/useList';

/** The user's sessions. */
export function Sessions() {
  const { t } = useTranslation();
  const { me } = useChatStore().client.api;
  const { items, error, isBusy, removeItem, reload } = useList(me.listSessions);
  if (error) return <FormError>{error}</FormError>;
  const signOutOthers = () =>
    withToast(async () => {
      await me.revokeOtherSessions();
      await reload();
    });
  return (
    <>
      {(items?.length ?? 0) > 1 && <Button onClick={signOutOthers}>{t('settings.revokeOtherSessions')}</Button>}
      <ul aria-busy={isBusy}>
        {items?.map((one) => (
          <li key={one.id} className={styles.row}>
            <div>
              <strong>{one.current ? t('settings.currentSession') : describeDevice(one.user_agent)}</strong>
              <p>
                {one.current && `${describeDevice(one.user_agent)} · `}
                {t('settings.lastUsed', { ago: formatRelativeTime(one.used_at) })}
              </p>
            </div>
            {!one.current && (
              <Button onClick={() => removeItem(one, () => me.revokeSession(one.id))}>
                {t('settings.revokeSession')}
              </Button>
            )}
          </li>
        ))}
      </ul>
      <Activity />
    </>
  );
}

/** The latest sign-ins, failed ones included, changes of the password and exports. */
function Activity() {
  const { t } = useTranslation();
  const { me } = useChatStore().client.api;
  const { items, error, isBusy } = useList(me.listActivity);
  return (
    <section aria-label={t('settings.activity')}>
      <h3>{t('settings.activity')}</h3>
      <p className={styles.hint}>{t('settings.activityHint')}</p>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy}>
        {items?.map((one) => (
          <li key={one.id} className={styles.row}>
            <div>
              <strong>{t(`audit.${one.action}`)}</strong>
              <p>
                {[describeDevice(one.user_agent), one.address].filter(Boolean).join(' · ')} ·{' '}
                <time dateTime={one.at} title={formatFullTime(one.at)}>
                  {formatRelativeTime(one.at)}
                </time>
              </p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Shortens a user agent to browser and system. */
function describeDevice(agent: string): string {
  const browser = /(Edg|OPR|Firefox|Chrome|Safari)\//.exec(agent)?.[1] ?? agent.split(/[ /]/)[0] ?? '';
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent)?.[1];
  return [browser.replace('Edg', 'Edge').replace('OPR', 'Opera'), system].filter(Boolean).join(', ') || '?';
}
