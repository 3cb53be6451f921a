import type { Message } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { SidePanel } from '../SidePanel';
import { useChatStore, useHasPermission } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { withToast } from '../ui/toast';
import { SearchResults } from './SearchResults';
import styles from './SearchResults.module.css';

/** The pinned messages of a chat. */
export default function PinsPanel({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const canPin = useHasPermission(chatId, 'pin');
  const [pins, setPins] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    const loadPins = () =>
      withToast(async () => {
        const messages = await chatStore.client.api.chats.listPins(chatId);
        chatStore.users.ensure(messages.flatMap(({ sender_id }) => sender_id ?? []));
        setPins(messages);
      });
    void loadPins();
    const eventTypes = ['message.pinned', 'message.unpinned', 'message.updated', 'message.deleted'] as const;
    const unsubscribers = eventTypes.map((name) =>
      chatStore.client.on(name, (event) => event.chat_id === chatId && void loadPins()),
    );
    return () => {
      for (const unsubscribe of unsubscribers) unsubscribe();
    };
  }, [chatStore, chatId]);
  return (
    <SidePanel title={t('pins.title')} label={t('pins.title')}>
      {pins === null && <p aria-busy="true">{t('loading')}</p>}
      {pins &&
        (pins.length > 0 ? (
          <SearchResults
            messages={pins}
            showsChat={false}
            renderAction={(message) =>
              canPin && (
                <IconButton
                  icon="close"
                  size={14}
                  className={styles.unpin ?? ''}
                  label={t('message.unpin')}
                  onClick={() => withToast(() => chatStore.client.api.messages.unpin(message.id))}
                />
              )
            }
          />
        ) : (
          <p className={styles.empty}>{t('pins.empty')}</p>
        ))}
    </SidePanel>
  );
}
