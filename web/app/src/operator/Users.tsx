import type { AccountState, UserAccount } from '@confab/sdk';
import { useCallback, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatRelativeTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import lists from '../sidebar/lists.module.css';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button, IconButton } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { showToast, withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useUiStore } from '../uiStore';
import styles from './OperatorPage.module.css';

const STATES: readonly AccountState[] = ['active', 'pending', 'suspended'];

/** Finds users, and approves, suspends or signs them out. */
export function Users() {
  const { t } = useTranslation();
  const { operator } = useChatStore().client.api;
  const [query, setQuery] = useState('');
  const [state, setState] = useState<AccountState | ''>('');
  const fetchFirst = useCallback(
    (text: string) => operator.listUsers({ ...(text.trim() && { q: text.trim() }), ...(state && { state }) }),
    [operator, state],
  );
  const { items, error, isBusy, loadMore, reload } = usePages(query, fetchFirst, operator.listUsersNext);
  return (
    <div className={lists.form}>
      <div className={styles.filters}>
        <Field label={t('operator.findUsers')} value={query} onChange={(event) => setQuery(event.target.value)} />
        <SelectField
          label={t('operator.state')}
          value={state}
          onChange={(event) => setState(event.target.value as AccountState | '')}
        >
          <option value="">{t('operator.anyState')}</option>
          {STATES.map((one) => (
            <option key={one} value={one}>
              {t(`operator.states.${one}`)}
            </option>
          ))}
        </SelectField>
      </div>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy} aria-label={t('operator.users')}>
        {items?.map((user) => (
          <UserRow key={user.id} user={user} onChanged={reload} />
        ))}
        {items?.length === 0 && <li className={lists.empty}>{t('operator.noUsers')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </div>
  );
}

function UserRow({ user, onChanged }: { readonly user: UserAccount; readonly onChanged: () => void }) {
  const { t } = useTranslation();
  const { operator } = useChatStore().client.api;
  const isMe = useChatState(({ me }) => me.id === user.id);
  const openModal = useUiStore((ui) => ui.openModal);
  const apply = async (action: () => Promise<unknown>) => {
    await action();
    showToast(t('operator.done'));
    onChanged();
  };
  const run = (action: () => Promise<unknown>) => withToast(() => apply(action));
  const details = [
    `@${user.username}`,
    user.email,
    user.last_used_at && t('settings.lastUsed', { ago: formatRelativeTime(user.last_used_at) }),
  ];
  return (
    <li className={lists.row}>
      <Avatar user={user} size={32} />
      <div>
        <strong>
          {getDisplayName(user)} {user.is_operator && <span className={styles.state}>{t('operator.isOperator')}</span>}{' '}
          {user.state !== 'active' && <span className={styles.state}>{t(`operator.states.${user.state}`)}</span>}
        </strong>
        <p>{details.filter(Boolean).join(' · ')}</p>
      </div>
      {user.state === 'pending' ? (
        <>
          <Button variant="primary" onClick={() => run(() => operator.approve(user.id))}>
            {t('operator.approve')}
          </Button>
          <Button
            onClick={() =>
              openModal({
                kind: 'confirm',
                title: t('operator.reject'),
                text: t('operator.rejectConfirm', { name: getDisplayName(user) }),
                confirmLabel: t('operator.reject'),
                action: () => apply(() => operator.reject(user.id)),
              })
            }
          >
            {t('operator.reject')}
          </Button>
        </>
      ) : (
        <Menu align="end" trigger={<IconButton icon="more" label={t('operator.actions', { name: user.username })} />}>
          {user.state === 'suspended' ? (
            <MenuItem onClick={() => run(() => operator.endSuspension(user.id))}>
              {t('operator.endSuspension')}
            </MenuItem>
          ) : (
            !isMe && (
              <MenuItem onClick={() => openModal({ kind: 'suspendUser', user, onDone: onChanged })}>
                {t('operator.suspend')}
              </MenuItem>
            )
          )}
          <MenuItem onClick={() => run(() => operator.endSessions(user.id))}>{t('operator.endSessions')}</MenuItem>
          <MenuItem
            onClick={() =>
              openModal({
                kind: 'confirm',
                title: t('operator.removeProfile'),
                text: t('operator.removeProfileConfirm', { name: getDisplayName(user) }),
                confirmLabel: t('operator.removeProfile'),
                action: () => apply(() => operator.removeProfile(user.id)),
              })
            }
          >
            {t('operator.removeProfile')}
          </MenuItem>
        </Menu>
      )}
    </li>
  );
}
