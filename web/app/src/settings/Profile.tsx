import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import styles from '../sidebar/lists.module.css';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import profileStyles from './Profile.module.css';

/** The time zone of this device. */
const TIME_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The user's public profile. */
export function Profile() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const me = useChatState((state) => state.me);
  const { error, run } = useAction();
  const { api } = chatStore.client;
  const save = async (action: () => Promise<unknown>) => {
    if (await run(action)) showToast(t('settings.saved'));
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void save(() =>
      api.me.update({
        display_name: String(form.get('name')),
        bio: String(form.get('bio')),
        time_zone: form.get('localTime') ? TIME_ZONE : null,
      }),
    );
  };
  const uploadAvatar = (file: File | undefined) =>
    file &&
    save(async () => {
      const info = await chatStore.client.uploads.start(file);
      await api.me.update({ avatar_file_id: info.id });
    });
  return (
    <form className={styles.form} onSubmit={submit}>
      <div className={styles.row}>
        <Avatar user={me} size={64} />
        <div>
          <strong>{getDisplayName(me)}</strong>
          <p>
            @{me.username} · {me.email}
          </p>
        </div>
        <label className={profileStyles.upload}>
          {t('settings.uploadAvatar')}
          <input
            type="file"
            accept="image/*"
            className="visually-hidden"
            onChange={(event) => uploadAvatar(event.target.files?.[0])}
          />
        </label>
        {me.avatar_url && (
          <Button onClick={() => save(() => api.me.update({ avatar_file_id: null }))}>
            {t('settings.removeAvatar')}
          </Button>
        )}
      </div>
      <Field label={t('settings.name')} name="name" defaultValue={me.display_name} autoComplete="name" />
      <Field label={t('settings.bio')} name="bio" defaultValue={me.bio} />
      <label className={profileStyles.check}>
        <input type="checkbox" name="localTime" defaultChecked={me.time_zone != null} />
        {t('settings.showLocalTime', { zone: TIME_ZONE })}
      </label>
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" variant="primary">
          {t('save')}
        </Button>
      </div>
    </form>
  );
}
