import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useChatState } from '../store/hooks';
import { Icon } from '../ui/Icon';
import styles from './Message.module.css';

/** Tells that a message did not arrive on another network. */
export function RelayStatus({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const bridges = useChatState((state) => state.bridges.get(message.chat_id));
  if (message.deleted_at !== null) return null;
  return bridges?.map((bridge) => {
    const failure = bridge.failed.find(({ message_id }) => message_id === message.id);
    if (!failure) return null;
    const network = t(`networks.${bridge.network}`);
    return (
      <p key={bridge.id} className={styles.relayFailure}>
        <Icon name="warn" size={14} />
        {failure.error
          ? t('bridges.failedHere', { network, error: failure.error })
          : t('bridges.failedWithoutReason', { network })}
      </p>
    );
  });
}
