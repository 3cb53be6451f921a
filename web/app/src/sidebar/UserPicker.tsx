import type { User } from '@confab/sdk';
import { useCallback, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { hasDirectChats } from '../store/chatState';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import styles from './lists.module.css';

/** Users on one page, and found by a search. */
const PAGE_SIZE = 30;

/** Selects some users: those with whom the user shares a chat, then all others, or those whom a search finds. */
export function UserPicker(props: {
  readonly selected: readonly User[];
  readonly onChange: (selected: readonly User[]) => void;
  readonly isHidden?: (id: number) => boolean;
}) {
  const { selected, onChange, isHidden } = props;
  const { t } = useTranslation();
  const { users } = useChatStore().client.api;
  const me = useChatState((state) => state.me.id);
  const [query, setQuery] = useState('');
  const text = query.trim();
  const fetchFirst = useCallback(
    async (searched: string) => {
      if (searched === '') return users.listDirectory({ scope: 'contacts', limit: PAGE_SIZE });
      return { items: await users.search(searched, PAGE_SIZE), next: null };
    },
    [users],
  );
  const { items, error, isBusy, loadMore } = usePages(text, fetchFirst, users.listDirectoryNext);
  const { others, loadOthers } = useOthers();
  const isSelected = (user: User) => selected.some(({ id }) => id === user.id);
  const isShown = (user: User) => user.id !== me && !isHidden?.(user.id) && hasDirectChats(user);
  const listed = text === '' ? [...(items ?? []), ...others] : (items ?? []);
  const visible = listed.filter((user, nth) => isShown(user) && listed.findIndex(({ id }) => id === user.id) === nth);
  const toggle = (user: User) =>
    onChange(isSelected(user) ? selected.filter(({ id }) => id !== user.id) : [...selected, user]);
  const more = loadMore ?? (text === '' && items ? loadOthers : null);

  return (
    <div className={styles.picker}>
      <Field
        label={t('members.search')}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        autoComplete="off"
        dir="auto"
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
      <FormError>{error}</FormError>
      <ul className={styles.list} aria-busy={isBusy}>
        {visible.map((user) => (
          <li key={user.id}>
            <button type="button" className={styles.item} aria-pressed={isSelected(user)} onClick={() => toggle(user)}>
              <Avatar user={user} size={30} />
              <span dir="auto">
                {getDisplayName(user)} <small>@{user.username}</small>
              </span>
              {isSelected(user) && <Icon name="check" size={18} />}
            </button>
          </li>
        ))}
        {items !== null && visible.length === 0 && (
          <li className={styles.empty}>{text === '' ? t('members.nobodyYet') : t('members.noResults')}</li>
        )}
        {more && (
          <li>
            <Button variant="ghost" onClick={more}>
              {t('members.showMore')}
            </Button>
          </li>
        )}
      </ul>
    </div>
  );
}

/** Everybody in the directory, page by page, once they are asked for. */
function useOthers() {
  const { users } = useChatStore().client.api;
  const [pages, setPages] = useState<{ readonly items: readonly User[]; readonly next: string | null } | null>(null);
  const load = async () => {
    const page = pages?.next
      ? await users.listDirectoryNext(pages.next)
      : await users.listDirectory({ scope: 'everyone', limit: PAGE_SIZE });
    setPages({ items: [...(pages?.items ?? []), ...page.items], next: page.next });
  };
  return {
    others: pages?.items ?? [],
    loadOthers: pages !== null && pages.next === null ? null : () => withToast(load),
  };
}
