import type { Message } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Avatar } from '../members/Avatar';
import listStyles from '../sidebar/lists.module.css';
import { useMatchingChats } from '../sidebar/useMatchingChats';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { ChatIcon } from '../ui/ChatIcon';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { Icon } from '../ui/Icon';
import { useUiStore } from '../uiStore';
import { LinkedMessages } from './LinkedMessages';
import { getMessageUrl } from './messageLinks';

/** Sends the link to a message to another chat, where those who may read the message see it as a quote. */
export function ForwardMessage({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const { closeModal, requestScroll } = useUiStore();
  const [query, setQuery] = useState('');
  const [chatId, setChatId] = useState<number | null>(null);
  const [comment, setComment] = useState('');
  const url = getMessageUrl({ chatId: message.chat_id, messageId: message.id });
  const targets = useMatchingChats(query.trim().toLowerCase());
  const isPrivate = useChatState(({ chats }) => chats.get(message.chat_id)?.type !== 'public_channel');
  const target = targets.find(({ chat }) => chat.id === chatId);
  const send = () => {
    if (!target) return;
    chatStore.sendMessage(target.chat.id, { content: [comment.trim(), url].filter(Boolean).join('\n') });
    closeModal();
    requestScroll();
    navigate(`/chats/${target.chat.id}`);
  };
  return (
    <Dialog title={t('forward.title')} onClose={closeModal}>
      <form
        className={listStyles.form}
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <LinkedMessages text={url} isStatic />
        {isPrivate && <p className={listStyles.hint}>{t('forward.privateHint')}</p>}
        <Field
          label={t('chats.search')}
          value={query}
          onChange={({ target }) => setQuery(target.value)}
          autoComplete="off"
          dir="auto"
        />
        <section aria-label={t('chats.title')}>
          {targets.map(({ chat, title, peer }) => (
            <button
              key={chat.id}
              type="button"
              aria-pressed={chat.id === chatId}
              className={listStyles.item}
              onClick={() => setChatId(chat.id)}
            >
              {peer ? <Avatar user={peer} size={20} /> : <ChatIcon type={chat.type} size={18} />}
              <span dir="auto">{title}</span>
              {chat.id === chatId && <Icon name="check" size={16} />}
            </button>
          ))}
          {targets.length === 0 && <p className={listStyles.empty}>{t('chats.noResults')}</p>}
        </section>
        <Field
          label={t('forward.comment')}
          value={comment}
          onChange={({ target }) => setComment(target.value)}
          maxLength={2_000}
          dir="auto"
        />
        <div className={listStyles.actions}>
          <Button type="submit" variant="primary" disabled={!target}>
            {t('forward.send')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
