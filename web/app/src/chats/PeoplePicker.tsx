import type { User } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../ui/Avatar';
import { Field } from '../ui/Field';
import { Icon } from '../ui/Icon';
import { attempt } from '../view';
import { nameOf, useHouse, useWorld } from '../world/use';
import styles from './lists.module.css';

/** A pause in typing after which is asked, in milliseconds. */
const PAUSE_MS = 150;

/** Finds people by name, and chooses some of them. */
export function PeoplePicker(props: {
  readonly chosen: readonly User[];
  readonly onChange: (chosen: readonly User[]) => void;
  readonly isHidden?: (id: number) => boolean;
}) {
  const { chosen, onChange, isHidden } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const me = useWorld((world) => world.me.id);
  const known = useWorld((world) => [...world.people.values()].filter((user) => user.deleted_at === null));
  const [asked, setAsked] = useState('');
  const [found, setFound] = useState<readonly User[] | null>(null);

  useEffect(() => {
    const words = asked.trim();
    if (!words) {
      setFound(null);
      return;
    }
    let isOver = false;
    const timer = setTimeout(async () => {
      await attempt(async () => {
        const users = await house.client.api.people.search(words, 20);
        if (!isOver) setFound(users);
      });
    }, PAUSE_MS);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [asked, house]);

  const shown = (found ?? known).filter(({ id }) => id !== me && !isHidden?.(id));
  const toggle = (user: User) =>
    onChange(chosen.some(({ id }) => id === user.id) ? chosen.filter(({ id }) => id !== user.id) : [...chosen, user]);

  return (
    <div className={styles.picker}>
      <Field
        label={t('people.find')}
        value={asked}
        onChange={(event) => setAsked(event.target.value)}
        autoComplete="off"
      />
      {chosen.length > 0 && (
        <ul className={styles.chips} aria-label={t('people.chosen')}>
          {chosen.map((user) => (
            <li key={user.id}>
              <button
                type="button"
                onClick={() => toggle(user)}
                aria-label={t('people.takeOut', { name: nameOf(user) })}
              >
                {nameOf(user)}
                <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <ul className={styles.list}>
        {shown.map((user) => (
          <li key={user.id}>
            <button
              type="button"
              className={styles.item}
              aria-pressed={chosen.some(({ id }) => id === user.id)}
              onClick={() => toggle(user)}
            >
              <Avatar user={user} size={30} />
              <span>
                {nameOf(user)} <small>@{user.username}</small>
              </span>
              {chosen.some(({ id }) => id === user.id) && <Icon name="check" size={18} />}
            </button>
          </li>
        ))}
        {shown.length === 0 && <li className={styles.none}>{t('people.none')}</li>}
      </ul>
    </div>
  );
}
