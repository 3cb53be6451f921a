import { Tabs } from '@base-ui/react/tabs';
import type { SessionInfo, User } from '@confab/sdk';
import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Avatar } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, Refusal } from '../ui/Field';
import { attempt, useView } from '../view';
import { ago } from '../words/time';
import { nameOf, useHouse, useWorld } from '../world/use';
import { turnNotifications, wantsNotifications } from './notifications';
import own from './Settings.module.css';
import { chooseTheme, type Theme, theme } from './theme';

const TABS = ['profile', 'device', 'sessions', 'password', 'blocked'] as const;

/** All that one may set. */
export function Settings() {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  return (
    <Dialog title={t('settings.title')} onClose={close} isWide>
      <Tabs.Root defaultValue="profile" className={own.tabs ?? ''}>
        <Tabs.List className={own.list ?? ''} activateOnFocus>
          {TABS.map((tab) => (
            <Tabs.Tab key={tab} value={tab} className={own.tab ?? ''}>
              {t(`settings.${tab}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="profile">
          <Profile />
        </Tabs.Panel>
        <Tabs.Panel value="device">
          <Device />
        </Tabs.Panel>
        <Tabs.Panel value="sessions">
          <Sessions />
        </Tabs.Panel>
        <Tabs.Panel value="password">
          <Password />
        </Tabs.Panel>
        <Tabs.Panel value="blocked">
          <Blocked />
        </Tabs.Panel>
      </Tabs.Root>
    </Dialog>
  );
}

function Profile() {
  const { t } = useTranslation();
  const house = useHouse();
  const me = useWorld((world) => world.me);
  const [refusal, setRefusal] = useState<string | null>(null);
  const say = useView((view) => view.say);
  const { api } = house.client;
  const work = async (what: () => Promise<unknown>) => {
    try {
      setRefusal(null);
      await what();
      say(t('settings.saved'));
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    }
  };
  const save = (event: FormEvent<HTMLFormElement>) => {
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
    <form className={styles.form} onSubmit={save}>
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

function Device() {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState(theme);
  const [notifies, setNotifies] = useState(wantsNotifications);
  const choose = (next: Theme) => {
    chooseTheme(next);
    setChosen(next);
  };
  return (
    <div className={styles.form}>
      <fieldset className={styles.choices} aria-label={t('settings.theme')}>
        {(['system', 'light', 'dark'] as const).map((one) => (
          <label key={one}>
            <input type="radio" name="theme" checked={chosen === one} onChange={() => choose(one)} />
            {t(`settings.themes.${one}`)}
          </label>
        ))}
      </fieldset>
      <div className={styles.row}>
        <div>
          <strong>{t('settings.notify')}</strong>
          <p>{t('settings.notifyHint')}</p>
        </div>
        <Button aria-pressed={notifies} onClick={async () => setNotifies(await turnNotifications(!notifies))}>
          {notifies ? t('settings.notifyOff') : t('settings.notifyOn')}
        </Button>
      </div>
    </div>
  );
}

function Sessions() {
  const { t } = useTranslation();
  const house = useHouse();
  const [sessions, setSessions] = useState<readonly SessionInfo[] | null>(null);
  const { me } = house.client.api;
  useEffect(() => {
    void attempt(async () => setSessions(await me.sessions()));
  }, [me]);
  const end = (id: string) =>
    attempt(async () => {
      await me.endSession(id);
      setSessions((now) => now?.filter((one) => one.id !== id) ?? null);
    });
  return (
    <ul aria-busy={sessions === null}>
      {sessions?.map((one) => (
        <li key={one.id} className={styles.row}>
          <div>
            <strong>{one.current ? t('settings.thisOne') : deviceOf(one.user_agent)}</strong>
            <p>
              {one.current && `${deviceOf(one.user_agent)} · `}
              {t('settings.used', { ago: ago(one.used_at) })}
            </p>
          </div>
          {!one.current && <Button onClick={() => end(one.id)}>{t('settings.end')}</Button>}
        </li>
      ))}
    </ul>
  );
}

/** What a browser calls itself, in two words. */
function deviceOf(agent: string): string {
  const program = /(Edg|OPR|Firefox|Chrome|Safari)\//.exec(agent)?.[1] ?? agent.split(/[ /]/)[0] ?? '';
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent)?.[1];
  return [program.replace('Edg', 'Edge').replace('OPR', 'Opera'), system].filter(Boolean).join(', ') || '?';
}

function Password() {
  const { t } = useTranslation();
  const house = useHouse();
  const say = useView((view) => view.say);
  const [refusal, setRefusal] = useState<string | null>(null);
  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    const form = new FormData(target);
    try {
      setRefusal(null);
      await house.client.api.me.changePassword({
        current_password: String(form.get('current')),
        new_password: String(form.get('new')),
      });
      target.reset();
      say(t('settings.saved'));
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form className={styles.form} onSubmit={save}>
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
          {t('save')}
        </Button>
      </div>
    </form>
  );
}

function Blocked() {
  const { t } = useTranslation();
  const house = useHouse();
  const [blocked, setBlocked] = useState<readonly User[] | null>(null);
  const { people } = house.client.api;
  useEffect(() => {
    void attempt(async () => setBlocked(await people.blocked()));
  }, [people]);
  const unblock = (id: number) =>
    attempt(async () => {
      await people.unblock(id);
      setBlocked((now) => now?.filter((user) => user.id !== id) ?? null);
    });
  if (blocked?.length === 0) return <p className={styles.none}>{t('settings.nobodyBlocked')}</p>;
  return (
    <ul aria-busy={blocked === null}>
      {blocked?.map((user) => (
        <li key={user.id} className={styles.row}>
          <Avatar user={user} size={32} />
          <div>
            <strong>{nameOf(user)}</strong>
            <p>@{user.username}</p>
          </div>
          <Button onClick={() => unblock(user.id)}>{t('settings.unblock')}</Button>
        </li>
      ))}
    </ul>
  );
}
