import type { Bridge } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useOpenChat } from './useOpenChat';

/** Starts a chat with a person who has not written yet. */
export function NewRemoteUserForm({ bridge }: { readonly bridge: Bridge }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const openChat = useOpenChat();
  const { error, run } = useAction();
  const [phone, setPhone] = useState('');
  const [name, setName] = useState('');
  const connect = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { chat_id } = await bridges.connectChat(bridge.id, {
        phone: phone.trim(),
        ...(name.trim() && { name: name.trim() }),
      });
      await openChat(chat_id);
    });
  };
  return (
    <form className={styles.form} onSubmit={connect}>
      <Field
        label={t('bridges.phone')}
        value={phone}
        onChange={(event) => setPhone(event.target.value)}
        type="tel"
        placeholder="+49 151 12345678"
        hint={t('bridges.connectHint')}
        autoComplete="off"
        required
      />
      <Field
        label={t('bridges.personName')}
        value={name}
        onChange={(event) => setName(event.target.value)}
        maxLength={64}
        autoComplete="off"
      />
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit">{t('bridges.connect')}</Button>
      </div>
    </form>
  );
}
