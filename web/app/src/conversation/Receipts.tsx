import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { formatList } from '../locales/format';
import { isWrittenBy } from '../store/chatState';
import { getDisplayName, useChatState } from '../store/hooks';
import { MAX_RECEIPT_MEMBERS } from '../store/receipts';
import { Icon } from '../ui/Icon';
import styles from './Message.module.css';

/** How many readers are named; the others are counted. */
const MAX_NAMED = 3;

/** Whether the user's latest message is sent, delivered or read. It stands in the last line of the text. */
export function Receipts({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const isLatest = useChatState(({ timelines, me }) => {
    const timeline = timelines.get(message.chat_id);
    return !timeline?.hasNewer && timeline?.messages.findLast((one) => isWrittenBy(one, me.id))?.id === message.id;
  });
  const others = useChatState(({ chats }) => (chats.get(message.chat_id)?.member_count ?? 1) - 1);
  const isDirect = useChatState(({ chats }) => chats.get(message.chat_id)?.type === 'single');
  // Names of users who are not loaded yet appear with them.
  const readers = useChatState(({ receipts, users, me }) =>
    [...(receipts.get(message.chat_id) ?? [])]
      .filter(([id, receipt]) => id !== me.id && receipt.read >= message.id)
      .map(([id]) => users.get(id))
      .map((user) => (user ? getDisplayName(user) : '')),
  );
  const isDelivered = useChatState(({ receipts, me }) =>
    [...(receipts.get(message.chat_id) ?? [])].some(([id, receipt]) => id !== me.id && receipt.delivered >= message.id),
  );
  const isRefused = useChatState(({ bridges }) =>
    bridges.get(message.chat_id)?.some(({ failed }) => failed.some(({ message_id }) => message_id === message.id)),
  );
  if (!isLatest || isRefused || message.deleted_at !== null || others < 1 || others >= MAX_RECEIPT_MEMBERS) return null;
  const isRead = readers.length > 0;
  const known = readers.filter((name) => name !== '');
  const named = known.slice(0, known.length === MAX_NAMED + 1 ? MAX_NAMED + 1 : MAX_NAMED);
  const unnamed = readers.length - named.length;
  const names = [...named, ...(unnamed > 0 ? [t('receipt.others', { count: unnamed })] : [])];
  return (
    <span className={styles.receipt} data-read={isRead} title={known.join(', ')}>
      <Icon name={isRead || isDelivered ? 'checks' : 'check'} size={14} />
      {isRead
        ? isDirect
          ? t('receipt.read')
          : t('receipt.readBy', { names: formatList(names) })
        : isDelivered
          ? t('receipt.delivered')
          : t('receipt.sent')}
    </span>
  );
}
