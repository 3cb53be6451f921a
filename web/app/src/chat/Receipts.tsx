import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { Icon } from '../ui/Icon';
import { MOST_RECEIPTS } from '../world/receipts';
import { nameOf, useWorld } from '../world/use';
import styles from './Message.module.css';

/** How far the others are with my latest message. */
export function Receipts({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const isLatest = useWorld(({ timelines, me }) => {
    const run = timelines.get(message.chat_id);
    return !run?.hasNewer && run?.messages.findLast(({ sender_id }) => sender_id === me.id)?.id === message.id;
  });
  const others = useWorld(({ chats }) => (chats.get(message.chat_id)?.member_count ?? 1) - 1);
  const isDirect = useWorld(({ chats }) => chats.get(message.chat_id)?.type === 'single');
  const readers = useWorld(({ marks, people, me }) =>
    [...(marks.get(message.chat_id) ?? [])]
      .filter(([id, mark]) => id !== me.id && mark.read >= message.id)
      .map(([id]) => nameOf(people.get(id))),
  );
  const isDelivered = useWorld(({ marks, me }) =>
    [...(marks.get(message.chat_id) ?? [])].some(([id, mark]) => id !== me.id && mark.delivered >= message.id),
  );
  if (!isLatest || message.deleted_at !== null || others < 1 || others >= MOST_RECEIPTS) return null;
  const isRead = readers.length > 0;
  return (
    <p className={styles.receipt} data-read={isRead} title={readers.join(', ')}>
      <Icon name={isRead || isDelivered ? 'checks' : 'check'} size={14} />
      {isRead
        ? isDirect
          ? t('receipt.read')
          : t('receipt.readBy', { names: readers.slice(0, 3).join(', '), count: readers.length })
        : isDelivered
          ? t('receipt.delivered')
          : t('receipt.sent')}
    </p>
  );
}
