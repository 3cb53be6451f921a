import type { ChatSummary, Permission } from '@confab/sdk';
import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { getChatTitle, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { Tabs } from '../ui/Tabs';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import { Bans } from './Bans';
import { ChatNotifications } from './ChatNotifications';
import { Invites } from './Invites';
import styles from './lists.module.css';
import { Webhooks } from './Webhooks';

/** The details, invites, webhooks and bans of a chat, and the actions to leave or delete it. */
export function ChatSettings({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const title = useChatState((state) => (chat ? getChatTitle(state, chat) : ''));
  if (!chat) return null;
  const has = (permission: Permission) => chat.permissions?.includes(permission) ?? false;
  const aboutTab = <ChatDetails chat={chat} title={title} has={has} />;
  const tabs = [
    { name: t('chats.about'), body: aboutTab },
    ...(has('invite') ? [{ name: t('chats.invites'), body: <Invites chatId={chatId} /> }] : []),
    ...(has('edit_chat') ? [{ name: t('webhooks.title'), body: <Webhooks chatId={chatId} /> }] : []),
    ...(has('remove_members') ? [{ name: t('chats.bans'), body: <Bans chatId={chatId} /> }] : []),
  ];
  return (
    <Dialog title={title} onClose={closeModal} isWide={tabs.length > 1}>
      {tabs.length > 1 ? <Tabs label={title} tabs={tabs} /> : aboutTab}
    </Dialog>
  );
}

function ChatDetails(props: {
  readonly chat: ChatSummary;
  readonly title: string;
  readonly has: (permission: Permission) => boolean;
}) {
  const { chat, title, has } = props;
  const canEdit = has('edit_chat');
  const { t } = useTranslation();
  const { chats } = useChatStore().client.api;
  const { openModal, closeModal } = useUiStore();
  const [, navigate] = useLocation();
  const { error, run } = useAction();
  const save = async (action: () => Promise<unknown>) => {
    if (await run(action)) closeModal();
  };
  const mustTransferOwnership = chat.role === 'owner' && chat.member_count > 1;
  const canExit = has('delete_chat') || has('leave');
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const readField = (name: string) => String(form.get(name) ?? '').trim();
    const patch = { name: readField('name'), topic: readField('topic'), description: readField('description') };
    void save(() => chats.update(chat.id, patch));
  };
  const confirmExit = (exit: 'leave' | 'delete', action: () => Promise<unknown>) =>
    openModal({
      kind: 'confirm',
      chatId: chat.id,
      title: t(`chats.${exit}`),
      text: t(`chats.${exit}Confirm`, { name: title }),
      confirmLabel: t(`chats.${exit}`),
      action: async () => {
        await action();
        navigate('/');
      },
    });
  return (
    <form className={styles.form} onSubmit={submit}>
      {canEdit && (
        <>
          <Field label={t('chats.name')} name="name" defaultValue={chat.name} />
          <Field label={t('chats.topic')} name="topic" defaultValue={chat.topic} />
          <Field label={t('chats.description')} name="description" defaultValue={chat.description} />
        </>
      )}
      {!canEdit && chat.description && <p>{chat.description}</p>}
      <ChatNotifications chat={chat} />
      <FormError>{error}</FormError>
      {canEdit && (
        <div className={styles.actions}>
          <Button type="submit" variant="primary">
            {t('save')}
          </Button>
        </div>
      )}
      {canExit && (
        <section className={styles.danger} aria-label={t('chats.dangerZone')}>
          <h3>{t('chats.dangerZone')}</h3>
          {mustTransferOwnership && <p className={styles.hint}>{t('chats.transferOwnershipFirst')}</p>}
          <div className={styles.actions}>
            {has('leave') && !mustTransferOwnership && (
              <Button onClick={() => confirmExit('leave', () => chats.leave(chat.id))}>{t('chats.leave')}</Button>
            )}
            {has('delete_chat') && (
              <Button variant="dangerText" onClick={() => confirmExit('delete', () => chats.delete(chat.id))}>
                {t('chats.delete')}
              </Button>
            )}
          </div>
        </section>
      )}
    </form>
  );
}
