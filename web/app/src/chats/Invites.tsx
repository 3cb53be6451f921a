import type { Invite } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../ui/Button';
import { Refusal } from '../ui/Field';
import { useList } from '../ui/useList';
import { useView } from '../view';
import { exactTime } from '../words/time';
import { useHouse } from '../world/use';
import styles from './lists.module.css';

/** The links that lead into a chat. */
export function Invites({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { invites } = useHouse().client.api;
  const open = useView((view) => view.open);
  const { items, refusal, isBusy, takeOut } = useList(useCallback(() => invites.list(chatId), [invites, chatId]));
  const about = ({ uses, max_uses, expires_at }: Invite) =>
    [
      t('invite.used', { count: uses }),
      max_uses === null ? null : t('invite.left', { count: max_uses - uses }),
      expires_at === null ? t('invite.forever') : t('invite.until', { time: exactTime(expires_at) }),
    ]
      .filter((part) => part !== null)
      .join(' · ');
  if (refusal) return <Refusal>{refusal}</Refusal>;
  const more = <Button onClick={() => open({ kind: 'people', chatId })}>{t('invite.title')}</Button>;
  if (items?.length === 0) {
    return (
      <div className={styles.none}>
        <p>{t('chats.invitesNone')}</p>
        {more}
      </div>
    );
  }
  return (
    <div className={styles.form}>
      <ul aria-busy={isBusy}>
        {items?.map((invite) => (
          <li key={invite.code} className={styles.row}>
            <div>
              <strong>{invite.code}</strong>
              <p>{about(invite)}</p>
            </div>
            <Button onClick={() => takeOut(invite, () => invites.revoke(chatId, invite.code))}>
              {t('invite.revoke')}
            </Button>
          </li>
        ))}
      </ul>
      <div className={styles.actions}>{more}</div>
    </div>
  );
}
