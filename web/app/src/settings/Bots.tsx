import type { User } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import styles from '../sidebar/lists.module.css';
import { getDisplayName, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';

/** The user's bots, and a form for a new one. */
export function Bots(props: { readonly bots: readonly User[]; readonly onChange: () => Promise<void> }) {
  const { bots, onChange } = props;
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const openModal = useUiStore((ui) => ui.openModal);
  const { error, run } = useAction();
  const [username, setUsername] = useState('');

  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await api.bots.create({ username: username.trim() });
      setUsername('');
      await onChange();
    });
  };
  const confirmDelete = (bot: User) =>
    openModal({
      kind: 'confirm',
      title: t('integrations.deleteBot'),
      text: t('integrations.deleteBotConfirm', { name: getDisplayName(bot) }),
      confirmLabel: t('integrations.deleteBot'),
      action: () => api.bots.delete(bot.id),
    });

  return (
    <section className={styles.form} aria-label={t('integrations.bots')}>
      <h3>{t('integrations.bots')}</h3>
      <ul>
        {bots.map((bot) => (
          <li key={bot.id} className={styles.row}>
            <Avatar user={bot} size={32} />
            <div>
              <strong>{getDisplayName(bot)}</strong>
              <p>@{bot.username}</p>
            </div>
            <Button onClick={() => confirmDelete(bot)}>{t('integrations.deleteBot')}</Button>
          </li>
        ))}
      </ul>
      <form className={styles.form} onSubmit={create}>
        <Field
          label={t('integrations.botUsername')}
          hint={t('integrations.botHint')}
          value={username}
          onChange={(event) => setUsername(event.target.value)}
          minLength={2}
          maxLength={32}
          autoComplete="off"
          required
        />
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button type="submit">{t('integrations.createBot')}</Button>
        </div>
      </form>
    </section>
  );
}
