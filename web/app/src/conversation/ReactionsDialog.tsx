import type { Message, User } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import listStyles from '../sidebar/lists.module.css';
import { getDisplayName, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { FormError } from '../ui/Field';
import { Tabs } from '../ui/Tabs';
import { usePages } from '../ui/usePages';
import { useUiStore } from '../uiStore';

/** How many users are loaded at a time. */
const PAGE_SIZE = 50;

/** Who reacted to a message, by emoji. */
export function ReactionsDialog({ message, emoji }: { readonly message: Message; readonly emoji: string }) {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const chosenFirst = message.reactions.toSorted(
    (one, other) => Number(other.emoji === emoji) - Number(one.emoji === emoji),
  );
  const tabs = chosenFirst.map((reaction) => ({
    name: `${reaction.emoji} ${reaction.count}`,
    body: <ReactingUsers messageId={message.id} emoji={reaction.emoji} />,
  }));
  return (
    <Dialog title={t('reaction.all')} onClose={closeModal}>
      <Tabs label={t('reaction.all')} tabs={tabs} />
    </Dialog>
  );
}

function ReactingUsers({ messageId, emoji }: { readonly messageId: number; readonly emoji: string }) {
  const { t } = useTranslation();
  const { messages } = useChatStore().client.api;
  const fetchPage = useCallback(
    (query: string) => {
      const after = new URLSearchParams(query).get('after');
      return messages.listReactingUsers(messageId, emoji, { limit: PAGE_SIZE, ...(after && { after: Number(after) }) });
    },
    [messages, messageId, emoji],
  );
  const { items, error, isBusy, loadMore } = usePages<User>('', fetchPage, fetchPage);
  return (
    <>
      <FormError>{error}</FormError>
      <ul className={listStyles.list} aria-busy={isBusy}>
        {items?.map((user) => (
          <li key={user.id} className={listStyles.item}>
            <Avatar user={user} size={28} />
            <span dir="auto">{getDisplayName(user)}</span>
          </li>
        ))}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </>
  );
}
