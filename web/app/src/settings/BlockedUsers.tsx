import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import styles from '../sidebar/lists.module.css';
import { getDisplayName, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { useList } from '../ui/useList';

/** The users that the user has blocked. */
export function BlockedUsers() {
  const { t } = useTranslation();
  const { users } = useChatStore().client.api;
  const { items, error, isBusy, removeItem } = useList(users.listBlocked);
  if (error) return <FormError>{error}</FormError>;
  if (items?.length === 0) return <p className={styles.empty}>{t('settings.noBlockedUsers')}</p>;
  return (
    <ul aria-busy={isBusy}>
      {items?.map((user) => (
        <li key={user.id} className={styles.row}>
          <Avatar user={user} size={32} />
          <div>
            <strong>{getDisplayName(user)}</strong>
            <p>@{user.username}</p>
          </div>
          <Button onClick={() => removeItem(user, () => users.unblock(user.id))}>{t('settings.unblock')}</Button>
        </li>
      ))}
    </ul>
  );
}
