import type { ChatType, User } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import styles from './lists.module.css';
import { UserPicker } from './UserPicker';

type ChatKind = 'directOrGroup' | Extract<ChatType, 'public_channel' | 'private_channel'>;

const CHAT_KINDS: readonly ChatKind[] = ['directOrGroup', 'public_channel', 'private_channel'];

/** Creates a direct chat, a group or a channel. */
export function NewChat() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const [kind, setKind] = useState<ChatKind>('directOrGroup');
  const [selectedUsers, setSelectedUsers] = useState<readonly User[]>([]);
  const [name, setName] = useState('');
  const { error, run } = useAction();
  const [isBusy, setIsBusy] = useState(false);

  const [first, second] = selectedUsers;
  const isDirect = kind === 'directOrGroup' && first !== undefined && second === undefined;
  const isComplete = kind === 'directOrGroup' ? first !== undefined : name.trim() !== '';

  const create = async (event: FormEvent) => {
    event.preventDefault();
    setIsBusy(true);
    const members = selectedUsers.map(({ id }) => id);
    const isCreated = await run(async () => {
      const chat = await chatStore.client.api.chats.create(
        isDirect
          ? { type: 'single', user_id: first.id }
          : { type: kind === 'directOrGroup' ? 'group' : kind, members, ...(name.trim() && { name: name.trim() }) },
      );
      chatStore.users.add(selectedUsers);
      await chatStore.ensureChat(chat.id);
      closeModal();
      navigate(`/chats/${chat.id}`);
    });
    if (!isCreated) setIsBusy(false);
  };

  return (
    <Dialog title={kind === 'directOrGroup' ? t('chats.new') : t('chats.newChannel')} onClose={closeModal}>
      <form className={styles.form} onSubmit={create}>
        <fieldset className={styles.choices} aria-label={t('chats.type')}>
          {CHAT_KINDS.map((one) => (
            <label key={one}>
              <input type="radio" name="kind" checked={kind === one} onChange={() => setKind(one)} />
              {t(`chats.types.${one}`)}
            </label>
          ))}
        </fieldset>
        {!isDirect && (kind !== 'directOrGroup' || selectedUsers.length > 1) && (
          <Field
            label={kind === 'directOrGroup' ? t('chats.groupName') : t('chats.channelName')}
            value={name}
            onChange={(event) => setName(event.target.value)}
            maxLength={100}
          />
        )}
        <UserPicker selected={selectedUsers} onChange={setSelectedUsers} />
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button onClick={closeModal}>{t('cancel')}</Button>
          <Button type="submit" variant="primary" disabled={!isComplete || isBusy}>
            {isDirect ? t('chats.open') : t('chats.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
