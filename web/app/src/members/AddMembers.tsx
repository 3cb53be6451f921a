import type { Invite, User } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { UserPicker } from '../sidebar/UserPicker';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { copyToClipboard } from '../ui/clipboard';
import { Dialog } from '../ui/Dialog';
import { FormError } from '../ui/Field';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import { InviteByMail } from './InviteByMail';

/** Lifetime of a new invite, in seconds. */
const INVITE_LIFETIME_S = 7 * 86_400;

/** Adds users to a chat, or creates an invite link. */
export function AddMembers({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const memberIds = useChatState(({ members }) => members.get(chatId)?.map(({ id }) => id) ?? []);
  const [selectedUsers, setSelectedUsers] = useState<readonly User[]>([]);
  const [invite, setInvite] = useState<Invite | null>(null);
  const { error, run } = useAction();
  const { api } = chatStore.client;

  useEffect(() => {
    void chatStore.loadMembers(chatId).catch(() => {});
  }, [chatStore, chatId]);

  const add = () =>
    run(async () => {
      for (const { id } of selectedUsers) await api.members.add(chatId, { user_id: id });
      closeModal();
    });
  const inviteUrl = invite && `${location.origin}/invite/${invite.code}`;
  const copyLink = () => {
    if (!inviteUrl) return;
    void run(async () => {
      await copyToClipboard(inviteUrl);
      showToast(t('invite.copied'));
    });
  };

  return (
    <Dialog title={t('members.add')} onClose={closeModal}>
      <div className={styles.form}>
        <UserPicker selected={selectedUsers} onChange={setSelectedUsers} isHidden={(id) => memberIds.includes(id)} />
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button variant="primary" disabled={selectedUsers.length === 0} onClick={add}>
            {t('members.addSelected', { count: selectedUsers.length })}
          </Button>
        </div>
        <div className={styles.row}>
          <div>
            <strong>{t('invite.title')}</strong>
            {inviteUrl ? <p className={styles.code}>{inviteUrl}</p> : <p>{t('invite.hint')}</p>}
          </div>
          {inviteUrl ? (
            <Button onClick={copyLink}>{t('copy')}</Button>
          ) : (
            <Button
              onClick={() =>
                run(async () => setInvite(await api.invites.create(chatId, { expires_in: INVITE_LIFETIME_S })))
              }
            >
              {t('invite.create')}
            </Button>
          )}
        </div>
        <InviteByMail chatId={chatId} />
      </div>
    </Dialog>
  );
}
