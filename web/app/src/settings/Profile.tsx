import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Avatar } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Field, Refusal } from '../ui/Field';
import { useRefusal } from '../ui/useRefusal';
import { useView } from '../view';
import { nameOf, useHouse, useWorld } from '../world/use';
import own from './Profile.module.css';

/** How others see one. */
export function Profile() {
  const { t } = useTranslation();
  const house = useHouse();
  const me = useWorld((world) => world.me);
  const say = useView((view) => view.say);
  const { refusal, trying } = useRefusal();
  const { api } = house.client;
  const work = async (what: () => Promise<unknown>) => {
    if (await trying(what)) say(t('settings.saved'));
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void work(() => api.me.update({ display_name: String(form.get('name')), bio: String(form.get('bio')) }));
  };
  const picture = (file: File | undefined) =>
    file &&
    work(async () => {
      const info = await house.client.uploads.start(file);
      await api.me.update({ avatar_file_id: info.id });
    });
  return (
    <form className={styles.form} onSubmit={submit}>
      <div className={styles.row}>
        <Avatar user={me} size={64} />
        <div>
          <strong>{nameOf(me)}</strong>
          <p>
            @{me.username} · {me.email}
          </p>
        </div>
        <label className={own.upload}>
          {t('settings.picture')}
          <input
            type="file"
            accept="image/*"
            className="unseen"
            onChange={(event) => picture(event.target.files?.[0])}
          />
        </label>
        {me.avatar_url && (
          <Button onClick={() => work(() => api.me.update({ avatar_file_id: null }))}>{t('settings.noPicture')}</Button>
        )}
      </div>
      <Field label={t('settings.name')} name="name" defaultValue={me.display_name} autoComplete="name" />
      <Field label={t('settings.bio')} name="bio" defaultValue={me.bio} />
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        <Button type="submit" look="main">
          {t('save')}
        </Button>
      </div>
    </form>
  );
}
