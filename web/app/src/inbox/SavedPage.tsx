import type { SavedMessage } from '@confab/sdk';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { useMessageSummary } from '../conversation/useMessageSummary';
import { formatFullTime, formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import pages from '../operator/OperatorPage.module.css';
import results from '../search/SearchResults.module.css';
import lists from '../sidebar/lists.module.css';
import { getShownUserIds } from '../store/chatState';
import { getAuthorName, getChatTitle, getShownAuthor, useChatState, useChatStore } from '../store/hooks';
import { Button, IconButton } from '../ui/Button';
import { FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useThrottled } from '../ui/useThrottled';
import { useUiStore } from '../uiStore';
import styles from './Inbox.module.css';

/** The shortest time between two loads of the list, in milliseconds. */
const RELOAD_INTERVAL_MS = 500;

/** The messages that the user has saved for later. */
export default function SavedPage() {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const chatStore = useChatStore();
  const { savedMessages } = chatStore.client.api;
  const { items, error, isBusy, loadMore, reload } = usePages('', savedMessages.list, savedMessages.listNext);
  const savedIds = useChatState((state) => state.savedMessageIds);
  const reloadSoon = useThrottled(reload, RELOAD_INTERVAL_MS);
  useEffect(() => {
    const { client } = chatStore;
    const reloadIfSaved = (id: number) => {
      if (chatStore.state?.savedMessageIds.has(id)) reloadSoon();
    };
    const unsubscribers = [
      client.on('message.saved', reloadSoon),
      client.on('message.updated', ({ message }) => reloadIfSaved(message.id)),
    ];
    return () => {
      for (const unsubscribe of unsubscribers) unsubscribe();
    };
  }, [chatStore, reloadSoon]);
  useEffect(() => {
    chatStore.users.ensure((items ?? []).flatMap(({ message }) => getShownUserIds(message)));
  }, [items, chatStore]);
  const shown = items?.filter(({ message }) => savedIds.has(message.id));
  return (
    <section className={pages.page} aria-label={t('saved.title')}>
      <header className={pages.header}>
        <IconButton icon="back" label={t('backToChats')} className={pages.back ?? ''} onClick={() => navigate('/')} />
        <h1>{t('saved.title')}</h1>
      </header>
      <FormError>{error}</FormError>
      <ul className={results.results} aria-busy={isBusy}>
        {shown?.map((saved) => (
          <Entry key={saved.id} saved={saved} />
        ))}
        {shown?.length === 0 && <li className={lists.empty}>{t('saved.empty')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </section>
  );
}

function Entry({ saved: { message } }: { readonly saved: SavedMessage }) {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const chatStore = useChatStore();
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const author = useChatState(({ users }) => users.get(message.sender_id ?? 0));
  const summary = useMessageSummary(message);
  const chatTitle = useChatState((state) => {
    const chat = state.chats.get(message.chat_id);
    return chat ? getChatTitle(state, chat) : '';
  });
  const remove = () => withToast(() => chatStore.client.api.savedMessages.remove(message.id));
  return (
    <li className={styles.saved}>
      <button
        type="button"
        className={`${results.result} ${styles.entry}`}
        onClick={() => {
          requestScroll();
          navigate(`/chats/${message.chat_id}/${message.id}`);
        }}
      >
        <Avatar user={getShownAuthor(message, author)} size={28} />
        <span>
          <span dir="auto">{t('saved.origin', { name: getAuthorName(message, author), chat: chatTitle })}</span>
          <time dateTime={message.created_at} title={formatFullTime(message.created_at)}>
            {formatShortTime(message.created_at)}
          </time>
          <span className={results.preview} dir="auto">
            {summary}
          </span>
        </span>
      </button>
      <IconButton icon="close" label={t('saved.remove')} onClick={remove} />
    </li>
  );
}
