import type { User } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Field } from '../ui/Field';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';
import styles from './lists.module.css';

/** Debounce of the search, in milliseconds. */
const DEBOUNCE_MS = 150;

/** Searches users by name and selects some of them. */
export function UserPicker(props: {
  readonly selected: readonly User[];
  readonly onChange: (selected: readonly User[]) => void;
  readonly isHidden?: (id: number) => boolean;
}) {
  const { selected, onChange, isHidden } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const me = useChatState((state) => state.me.id);
  const knownUsers = useChatState((state) => [...state.users.values()].filter((user) => user.deleted_at === null));
  const [query, setQuery] = useState('');
  const [results, setResults] = useState<readonly User[] | null>(null);

  useEffect(() => {
    const text = query.trim();
    if (!text) {
      setResults(null);
      return;
    }
    let isCancelled = false;
    const timer = setTimeout(async () => {
      await withToast(async () => {
        const users = await chatStore.client.api.users.search(text, 20);
        if (!isCancelled) setResults(users);
      });
    }, DEBOUNCE_MS);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [query, chatStore]);

  const visibleUsers = (results ?? knownUsers).filter(({ id }) => id !== me && !isHidden?.(id));
  const toggle = (user: User) =>
    onChange(
      selected.some(({ id }) => id === user.id) ? selected.filter(({ id }) => id !== user.id) : [...selected, user],
    );

  return (
    <div className={styles.picker}>
      <Field
        label={t('members.search')}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        autoComplete="off"
      />
      {selected.length > 0 && (
        <ul className={styles.chips} aria-label={t('members.selected')}>
          {selected.map((user) => (
            <li key={user.id}>
              <button
                type="button"
                onClick={() => toggle(user)}
                aria-label={t('members.deselect', { name: getDisplayName(user) })}
              >
                {getDisplayName(user)}
                <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <ul className={styles.list}>
        {visibleUsers.map((user) => (
          <li key={user.id}>
            <button
              type="button"
              className={styles.item}
              aria-pressed={selected.some(({ id }) => id === user.id)}
              onClick={() => toggle(user)}
            >
              <Avatar user={user} size={30} />
              <span>
                {getDisplayName(user)} <small>@{user.username}</small>
              </span>
              {selected.some(({ id }) => id === user.id) && <Icon name="check" size={18} />}
            </button>
          </li>
        ))}
        {visibleUsers.length === 0 && <li className={styles.empty}>{t('members.noResults')}</li>}
      </ul>
    </div>
  );
}
