import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import lists from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';

/** Deletes a message or a chat that somebody reported by its link. */
export function RemoveContent() {
  const { t } = useTranslation();
  const { operator } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const { error, run } = useAction();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    await run(async () => {
      const link = parseLink(String(new FormData(form).get('link') ?? ''));
      if (link === null) throw new Error(t('operator.invalidLink'));
      const { chatId, messageId } = link;
      openModal({
        kind: 'confirm',
        title: messageId === null ? t('operator.removeChat') : t('operator.removeMessage'),
        text: messageId === null ? t('operator.removeChatConfirm') : t('operator.removeMessageConfirm'),
        confirmLabel: t('operator.remove'),
        action: async () => {
          await (messageId === null ? operator.removeChat(chatId) : operator.removeMessage(messageId));
          form.reset();
          showToast(t('operator.done'));
        },
      });
    });
  };
  return (
    <form className={lists.form} onSubmit={submit}>
      <Field label={t('operator.link')} name="link" required hint={t('operator.linkHint')} />
      <FormError>{error}</FormError>
      <div className={lists.actions}>
        <Button type="submit" variant="danger">
          {t('operator.remove')}
        </Button>
      </div>
    </form>
  );
}

/** Parses a link to a message or a chat. */
export function parseLink(text: string): { readonly chatId: number; readonly messageId: number | null } | null {
  const match = /\/chats\/([1-9]\d{0,15})(?:\/([1-9]\d{0,15}))?\/?(?:[?#].*)?$/.exec(text.trim());
  return match && { chatId: Number(match[1]), messageId: match[2] === undefined ? null : Number(match[2]) };
}
