import type { Invite } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime } from '../locales/time';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { useList } from '../ui/useList';
import { useUiStore } from '../uiStore';
import styles from './lists.module.css';

/** The invites of a chat. */
export function Invites({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { invites } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const { items, error, isBusy, removeItem } = useList(useCallback(() => invites.list(chatId), [invites, chatId]));
  const describeInvite = ({ uses, max_uses, expires_at }: Invite) =>
    [
      t('invite.uses', { count: uses }),
      max_uses === null ? null : t('invite.usesLeft', { count: max_uses - uses }),
      expires_at === null ? t('invite.neverExpires') : t('invite.expiresAt', { time: formatFullTime(expires_at) }),
    ]
      .filter((part) => part !== null)
      .join(' · ');
  if (error) return <FormError>{error}</FormError>;
  const inviteButton = <Button onClick={() => openModal({ kind: 'addMembers', chatId })}>{t('invite.title')}</Button>;
  if (items?.length === 0) {
    return (
      <div className={styles.empty}>
        <p>{t('chats.noInvites')}</p>
        {inviteButton}
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
              <p>{describeInvite(invite)}</p>
            </div>
            <Button onClick={() => removeItem(invite, () => invites.revoke(chatId, invite.code))}>
              {t('invite.revoke')}
            </Button>
          </li>
        ))}
      </ul>
      <div className={styles.actions}>{inviteButton}</div>
    </div>
  );
}
