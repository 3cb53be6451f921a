import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { useSendsMail } from '../settings/useSendsMail';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';

/** Invites somebody to a chat by mail, if the server sends mail. */
export function InviteByMail({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { invites } = useChatStore().client.api;
  const { error, isBusy, run } = useAction();
  const sendsMail = useSendsMail();
  if (!sendsMail) return null;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const email = String(new FormData(target).get('email'));
    void run(async () => {
      await invites.send(chatId, email);
      target.reset();
      showToast(t('invite.sent', { email }));
    });
  };
  return (
    <form className={styles.form} onSubmit={submit} aria-label={t('invite.byMail')}>
      <strong>{t('invite.byMail')}</strong>
      <Field label={t('settings.email')} name="email" type="email" autoComplete="off" required />
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" disabled={isBusy}>
          {t('invite.send')}
        </Button>
      </div>
    </form>
  );
}
