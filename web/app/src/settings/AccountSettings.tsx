import type { UserScope } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { saveBlob } from '../ui/files';
import { showToast, withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { EmailSettings } from './EmailSettings';

/** Change the address or the password, export the data, or delete the account. */
export function AccountSettings() {
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const username = useChatState(({ me }) => me.username);
  return (
    <div className={styles.form}>
      <GroupPrivacy />
      <EmailSettings />
      <ChangePassword />
      <div className={styles.row}>
        <div>
          <strong>{t('settings.export')}</strong>
          <p>{t('settings.exportHint')}</p>
        </div>
        <Button onClick={() => withToast(async () => saveBlob(await api.me.export(), `${username}.ndjson`))}>
          {t('settings.exportDownload')}
        </Button>
      </div>
      <DeleteAccount />
    </div>
  );
}

function GroupPrivacy() {
  const { t } = useTranslation();
  const { me } = useChatStore().client.api;
  const initial = useChatState((state) => state.me.group_privacy);
  const [scope, setScope] = useState(initial);
  const save = (choice: UserScope) =>
    withToast(async () => {
      setScope((await me.update({ group_privacy: choice })).group_privacy);
      showToast(t('settings.saved'));
    });
  return (
    <SelectField
      label={t('settings.groupPrivacy')}
      value={scope}
      onChange={(event) => save(event.target.value as UserScope)}
    >
      <option value="everyone">{t('settings.userScopes.everyone')}</option>
      <option value="contacts">{t('settings.userScopes.contacts')}</option>
    </SelectField>
  );
}

function ChangePassword() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { error, run } = useAction();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const form = new FormData(target);
    const isChanged = await run(() =>
      chatStore.client.api.me.changePassword({
        current_password: String(form.get('current')),
        new_password: String(form.get('new')),
      }),
    );
    if (!isChanged) return;
    target.reset();
    showToast(t('settings.saved'));
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
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" variant="primary">
          {t('settings.changePassword')}
        </Button>
      </div>
    </form>
  );
}

function DeleteAccount() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { error, run } = useAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get('password'));
    void run(async () => {
      await chatStore.client.api.me.delete(password);
      await chatStore.session.signOut();
    });
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.deleteAccount')}</strong>
          <p>{t('settings.deleteAccountHint')}</p>
        </div>
      </div>
      <Field
        label={t('settings.deleteAccountPassword')}
        name="password"
        type="password"
        autoComplete="current-password"
        required
      />
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" variant="danger">
          {t('settings.deleteAccount')}
        </Button>
      </div>
    </form>
  );
}
