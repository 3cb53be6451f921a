import type { UserAccount } from '@confab/sdk';
import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import lists from '../sidebar/lists.module.css';
import { getDisplayName, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';

/** Asks for the reason and suspends an account. */
export function SuspendDialog({ user, onDone }: { readonly user: UserAccount; readonly onDone: () => void }) {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const { operator } = useChatStore().client.api;
  const { error, run } = useAction();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get('reason') ?? '').trim();
    if (!(await run(() => operator.suspend(user.id, reason)))) return;
    closeModal();
    onDone();
  };
  return (
    <Dialog
      title={t('operator.suspend')}
      description={t('operator.suspendConfirm', { name: getDisplayName(user) })}
      onClose={closeModal}
    >
      <form className={lists.form} onSubmit={submit}>
        <Field label={t('operator.reason')} name="reason" maxLength={250} hint={t('operator.reasonHint')} />
        <FormError>{error}</FormError>
        <div className={lists.actions}>
          <Button onClick={closeModal}>{t('cancel')}</Button>
          <Button type="submit" variant="danger">
            {t('operator.suspend')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
