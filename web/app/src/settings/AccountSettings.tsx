import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Button } from '../ui/Button';
import { Field, Refusal } from '../ui/Field';
import { save } from '../ui/files';
import { useRefusal } from '../ui/useRefusal';
import { attempt, useView } from '../view';
import { useHouse, useWorld } from '../world/use';

/** The password, all that is known of one, and the way out for good. */
export function AccountSettings() {
  const { t } = useTranslation();
  const { api } = useHouse().client;
  const username = useWorld(({ me }) => me.username);
  return (
    <div className={styles.form}>
      <ChangePassword />
      <div className={styles.row}>
        <div>
          <strong>{t('settings.export')}</strong>
          <p>{t('settings.exportHint')}</p>
        </div>
        <Button onClick={() => attempt(async () => save(await api.me.export(), `${username}.ndjson`))}>
          {t('settings.exportDo')}
        </Button>
      </div>
      <CloseAccount />
    </div>
  );
}

function ChangePassword() {
  const { t } = useTranslation();
  const house = useHouse();
  const say = useView((view) => view.say);
  const { refusal, trying } = useRefusal();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const form = new FormData(target);
    const isChanged = await trying(() =>
      house.client.api.me.changePassword({
        current_password: String(form.get('current')),
        new_password: String(form.get('new')),
      }),
    );
    if (!isChanged) return;
    target.reset();
    say(t('settings.saved'));
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <Field
        label={t('settings.currentPassword')}
        name="current"
        type="password"
        autoComplete="current-password"
        required
      />
      <Field
        label={t('settings.newPassword')}
        name="new"
        type="password"
        autoComplete="new-password"
        required
        hint={t('settings.passwordHint')}
      />
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        <Button type="submit" look="main">
          {t('settings.change')}
        </Button>
      </div>
    </form>
  );
}

function CloseAccount() {
  const { t } = useTranslation();
  const house = useHouse();
  const { refusal, trying } = useRefusal();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get('password'));
    void trying(async () => {
      await house.client.api.me.close(password);
      await house.session.signOut();
    });
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.close')}</strong>
          <p>{t('settings.closeHint')}</p>
        </div>
      </div>
      <Field
        label={t('settings.closePassword')}
        name="password"
        type="password"
        autoComplete="current-password"
        required
      />
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        <Button type="submit" look="danger">
          {t('settings.close')}
        </Button>
      </div>
    </form>
  );
}
