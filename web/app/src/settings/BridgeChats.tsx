import type { BridgeChat } from '@confab/sdk';
import { useCallback, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button, IconButton } from '../ui/Button';
import { FormError } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useUiStore } from '../uiStore';
import { useOpenChat } from './useOpenChat';

/** The chats that a bridge connects, newest first. */
export function BridgeChats({ bridgeId }: { readonly bridgeId: number }) {
  const { t } = useTranslation();
  const { client } = useChatStore();
  const { bridges } = client.api;
  const fetchFirst = useCallback(() => bridges.listChats(bridgeId, { limit: 20 }), [bridges, bridgeId]);
  const fetchNext = useCallback((next: string) => bridges.listChatsNext(bridgeId, next), [bridges, bridgeId]);
  const { items, error, isBusy, loadMore, reload } = usePages('', fetchFirst, fetchNext);
  // The server pauses, connects and disconnects chats too.
  useEffect(() => client.on('bridge.updated', reload), [client, reload]);
  return (
    <div className={styles.form}>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy} aria-label={t('bridges.chats')}>
        {items?.map((chat) => (
          <BridgeChatRow key={chat.id} chat={chat} onChange={reload} />
        ))}
        {items?.length === 0 && <li className={styles.empty}>{t('bridges.noChats')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </div>
  );
}

function BridgeChatRow({ chat, onChange }: { readonly chat: BridgeChat; readonly onChange: () => void }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const openChat = useOpenChat();
  // The owner may have left the chat.
  const known = useChatState(({ chats }) => chats.get(chat.chat_id));
  const name = known?.name ?? chat.remote_key;
  const setPaused = (isPaused: boolean) =>
    withToast(async () => {
      await bridges.setPaused(chat.bridge_id, chat.id, isPaused);
      onChange();
    });
  return (
    <li className={styles.row}>
      <div>
        <strong>{name}</strong> {chat.paused_reason && <Badge isWarning>{t('bridges.isPaused')}</Badge>}
        {chat.phone && <p>{`+${chat.phone}`}</p>}
      </div>
      {known && <Button onClick={() => withToast(() => openChat(chat.chat_id))}>{t('bridges.openChat')}</Button>}
      <Menu align="end" trigger={<IconButton icon="more" label={t('bridges.actions', { name })} />}>
        <MenuItem onClick={() => setPaused(chat.paused_reason === null)}>
          {chat.paused_reason === null ? t('bridges.pause') : t('bridges.unpause')}
        </MenuItem>
        <MenuItem
          isDangerous
          onClick={() =>
            openModal({
              kind: 'confirm',
              title: t('bridges.disconnect'),
              text: t('bridges.disconnectConfirm', { name }),
              confirmLabel: t('bridges.disconnect'),
              action: async () => {
                await bridges.disconnectChat(chat.bridge_id, chat.id);
                onChange();
              },
            })
          }
        >
          {t('bridges.disconnect')}
        </MenuItem>
      </Menu>
    </li>
  );
}
