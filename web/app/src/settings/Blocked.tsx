import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Avatar } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Refusal } from '../ui/Field';
import { useList } from '../ui/useList';
import { nameOf, useHouse } from '../world/use';

/** Whom one does not wish to hear from directly. */
export function Blocked() {
  const { t } = useTranslation();
  const { people } = useHouse().client.api;
  const { items, refusal, isBusy, takeOut } = useList(people.blocked);
  if (refusal) return <Refusal>{refusal}</Refusal>;
  if (items?.length === 0) return <p className={styles.none}>{t('settings.nobodyBlocked')}</p>;
  return (
    <ul aria-busy={isBusy}>
      {items?.map((user) => (
        <li key={user.id} className={styles.row}>
          <Avatar user={user} size={32} />
          <div>
            <strong>{nameOf(user)}</strong>
            <p>@{user.username}</p>
          </div>
          <Button onClick={() => takeOut(user, () => people.unblock(user.id))}>{t('settings.unblock')}</Button>
        </li>
      ))}
    </ul>
  );
}
