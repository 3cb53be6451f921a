import type { Message, Permission } from '@confab/sdk';
import type { TFunction } from 'i18next';
import type { ChatStore } from '../store/chatStore';
import { getMessagePreview } from '../store/hooks';
import { copyToClipboard } from '../ui/clipboard';
import { type Anchor, type MenuAction, type MenuEntry, openPopup } from '../ui/popup';
import { showToast, withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { getMessageUrl } from './messageLinks';

/** Length of the message excerpt in the delete dialog, in characters. */
const QUOTE_LENGTH = 120;

/** What the chat does with a message. */
export interface MessageHandlers {
  readonly onReply: (message: Message) => void;
  readonly onEdit: (message: Message | null) => void;
}

/** Whether the user wrote a message, or has a permission in its chat. */
export function isAuthorOr({ state }: ChatStore, permission: Permission, { sender_id, chat_id }: Message): boolean {
  return state?.me.id === sender_id || (state?.chats.get(chat_id)?.permissions?.includes(permission) ?? false);
}

/** Lists what the user can do with a message: for its menus, and for the keys of a focused message. */
export function listMessageEntries(
  chatStore: ChatStore,
  t: TFunction,
  message: Message,
  anchor: Anchor,
  { onReply, onEdit }: MessageHandlers,
): MenuEntry[] {
  const { state, client } = chatStore;
  const { messages, savedMessages } = client.api;
  const chat = state?.chats.get(message.chat_id);
  const isMine = state?.me.id === message.sender_id;
  const isSaved = state?.savedMessageIds.has(message.id);
  const isSystem = message.kind === 'system';
  const copyLink: MenuAction = {
    key: 'copyLink',
    icon: 'link',
    label: t('message.copyLink'),
    run: () =>
      withToast(async () => {
        await copyToClipboard(getMessageUrl({ chatId: message.chat_id, messageId: message.id }));
        showToast(t('message.linkCopied'));
      }),
  };
  if (message.deleted_at !== null) return [copyLink];
  const when = (condition: boolean | undefined, action: MenuAction) => (condition ? [action] : []);
  return [
    {
      key: 'react',
      icon: 'emoji',
      label: t('reaction.pick'),
      shortcut: '+',
      run: () =>
        openPopup({
          kind: 'emoji',
          anchor,
          onPick: (emoji) => void withToast(() => chatStore.toggleReaction(message, emoji)),
        }),
    },
    { key: 'reply', icon: 'reply', label: t('message.reply'), shortcut: 'R', run: () => onReply(message) },
    ...when(!isSystem, {
      key: 'forward',
      icon: 'forward',
      label: t('forward.action'),
      shortcut: 'F',
      run: () => useUiStore.getState().openModal({ kind: 'forward', message }),
    }),
    ...when(isMine && !isSystem, {
      key: 'edit',
      icon: 'edit',
      label: t('message.edit'),
      shortcut: 'E',
      run: () => onEdit(message),
    }),
    {
      key: 'unread',
      icon: 'eyeOff',
      label: t('message.markUnread'),
      shortcut: 'U',
      run: () => withToast(() => chatStore.markUnread(message)),
    },
    {
      key: 'save',
      icon: 'bookmark',
      label: isSaved ? t('saved.remove') : t('saved.save'),
      shortcut: 'S',
      run: () => withToast(() => (isSaved ? savedMessages.remove(message.id) : savedMessages.save(message.id))),
    },
    ...when(!isSystem && chat?.permissions?.includes('pin'), {
      key: 'pin',
      icon: 'pin',
      label: message.pinned ? t('message.unpin') : t('message.pin'),
      shortcut: 'P',
      run: () => withToast(() => (message.pinned ? messages.unpin(message.id) : messages.pin(message.id))),
    }),
    null,
    ...when(message.content !== '', {
      key: 'copyText',
      icon: 'copy',
      label: t('message.copyText'),
      run: () =>
        withToast(async () => {
          await copyToClipboard(message.content);
          showToast(t('copied'));
        }),
    }),
    copyLink,
    ...(isAuthorOr(chatStore, 'delete_others_messages', message)
      ? [
          null,
          {
            key: 'delete',
            icon: 'trash' as const,
            label: t('message.delete'),
            shortcut: t('keys.delete'),
            isDangerous: true,
            run: () => confirmDelete(chatStore, t, message),
          },
        ]
      : []),
  ];
}

/** Returns the entry whose shortcut a key is, if there is one. */
export function findEntryByKey(entries: readonly MenuEntry[], key: string): MenuAction | undefined {
  const isDelete = key === 'Delete' || key === 'Backspace';
  return entries
    .flatMap((entry) => entry ?? [])
    .find((entry) => (isDelete ? entry.key === 'delete' : entry.shortcut === key.toUpperCase()));
}

/** Deletes a message after confirmation. */
export function confirmDelete(chatStore: ChatStore, t: TFunction, message: Message): void {
  const bridges = chatStore.state?.bridges.get(message.chat_id);
  const lasting = bridges?.find(({ capabilities }) => !capabilities.deletes);
  useUiStore.getState().openModal({
    kind: 'confirm',
    chatId: message.chat_id,
    title: t('message.deleteTitle'),
    text: [
      t('message.deleteConfirm', { text: getMessagePreview(message).slice(0, QUOTE_LENGTH) }),
      lasting && t('bridges.staysThere', { network: t(`networks.${lasting.network}`) }),
    ]
      .filter(Boolean)
      .join(' '),
    confirmLabel: t('message.delete'),
    action: () => chatStore.client.api.messages.delete(message.id),
    getFocusTarget: () => document.querySelector<HTMLElement>(`[data-message="${message.id}"]`),
  });
}
