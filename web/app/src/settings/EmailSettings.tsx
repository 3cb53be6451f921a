import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useSendsMail } from './useSendsMail';

/** The address of the account, and a form that changes or confirms it by mail. */
export function EmailSettings() {
  const { t } = useTranslation();
  const { me: api } = useChatStore().client.api;
  const [me, setMe] = useState(useChatState((state) => state.me));
  const [mailedTo, setMailedTo] = useState<string | null>(null);
  const { error, isBusy, run } = useAction();
  const sendsMail = useSendsMail();
  // It may have been confirmed in another tab.
  useEffect(() => {
    api.get().then(setMe, () => {});
  }, [api]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const form = new FormData(target);
    const email = String(form.get('email'));
    setMailedTo(null);
    void run(async () => {
      await api.changeEmail({ email, current_password: String(form.get('password')) });
      target.reset();
      setMailedTo(email);
    });
  };
  return (
    <section className={styles.form} aria-label={t('settings.email')}>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.email')}</strong>
          <p>
            {!sendsMail
              ? me.email
              : t(me.is_email_verified ? 'settings.emailVerified' : 'settings.emailUnverified', { email: me.email })}
          </p>
        </div>
      </div>
      {sendsMail && (
        <form className={styles.form} onSubmit={submit}>
          <Field
            label={t('settings.newEmail')}
            name="email"
            type="email"
            autoComplete="email"
            required
            hint={t('settings.changeEmailHint')}
          />
          <Field
            label={t('settings.currentPassword')}
            name="password"
            type="password"
            autoComplete="current-password"
            required
          />
          <FormError>{error}</FormError>
          <p role="status">{mailedTo !== null && t('settings.emailMailed', { email: mailedTo })}</p>
          <div className={styles.actions}>
            <Button type="submit" disabled={isBusy}>
              {t('settings.changeEmail')}
            </Button>
          </div>
        </form>
      )}
    </section>
  );
}
