import { isRetryable, type InviteSummary as Summary } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Icon } from '../ui/Icon';
import { api } from './publicApi';
import styles from './SignInPage.module.css';

/** After this time a summary that could not be loaded is loaded again, in milliseconds. */
const RETRY_DELAY_MS = 2_000;

/** Who invites where, above the form of somebody who has no account yet. */
export function InviteSummary({ code }: { readonly code: string }) {
  const { t } = useTranslation();
  const [summary, setSummary] = useState<Summary | 'invalid' | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const load = () =>
      api.invites.summarize(code).then(setSummary, (error) => {
        if (isRetryable(error)) timer = setTimeout(load, RETRY_DELAY_MS);
        else setSummary('invalid');
      });
    void load();
    return () => clearTimeout(timer);
  }, [code]);
  if (!summary) return <section className={styles.invite} aria-busy="true" />;
  if (summary === 'invalid') {
    return (
      <section className={styles.invite}>
        <Icon name="warn" size={24} />
        <h2>{t('invite.invalid')}</h2>
      </section>
    );
  }
  const { invited_by: host, chat_name, chat_description, member_count } = summary;
  const name = chat_name || t('invite.group');
  return (
    <section className={styles.invite}>
      <Icon name="people" size={24} />
      <div>
        <h2 dir="auto">{host ? t('invite.invitesYou', { host, name }) : t('invite.invitedTo', { name })}</h2>
        <p dir="auto">
          {t('members.count', { count: member_count })}
          {chat_description && ` · ${chat_description}`}
        </p>
      </div>
    </section>
  );
}
