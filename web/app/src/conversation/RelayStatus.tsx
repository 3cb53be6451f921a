import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useChatState } from '../store/hooks';
import { Icon } from '../ui/Icon';
import styles from './Message.module.css';

/** Tells that a message did not arrive on another network, or could not be withdrawn there. */
export function RelayStatus({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const bridges = useChatState((state) => state.bridges.get(message.chat_id));
  const isOfPerson = useChatState(({ users }) => users.get(message.sender_id ?? 0)?.kind === 'person');
  return bridges?.map((bridge) => {
    const network = t(`networks.${bridge.network}`);
    const failure = bridge.failed.find(({ message_id }) => message_id === message.id);
    // Messages from before the chat was connected were never there.
    const wasSent = isOfPerson && !failure && message.created_at > bridge.created_at;
    const isLeft = message.deleted_at !== null && wasSent && !bridge.capabilities.deletes;
    if (isLeft)
      return (
        <p key={bridge.id} className={styles.receipt}>
          {t('bridges.notWithdrawn', { network })}
        </p>
      );
    if (!failure || message.deleted_at !== null) return null;
    return (
      <p key={bridge.id} className={styles.relayFailure}>
        <Icon name="warn" size={14} />
        {t('bridges.failedHere', { network, error: failure.error ?? '' })}
      </p>
    );
  });
}
