import { ApiError, type Chat } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import appShellStyles from '../AppShell.module.css';
import { getErrorMessage } from '../locales/errorMessage';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';

/** A chat of which the user is no member: a public channel to join, or why it is not available. */
export default function UnavailableChat({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const removal = useChatState(({ removals }) => removals.get(chatId));
  const [channel, setChannel] = useState<Chat | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const { chats } = chatStore.client.api;
  useEffect(() => {
    setChannel(null);
    setFailure(null);
    let isCancelled = false;
    chats.getChannel(chatId).then(
      (found) => !isCancelled && setChannel(found),
      (error) => !isCancelled && setFailure(error),
    );
    return () => {
      isCancelled = true;
    };
  }, [chats, chatId]);

  const join = () =>
    withToast(async () => {
      await chats.join(chatId);
      await chatStore.ensureChat(chatId);
    });

  if (channel) {
    return (
      <main className={appShellStyles.emptyState}>
        <Icon name="hash" size={40} />
        <h1 dir="auto">{channel.name}</h1>
        <p>
          {t('members.count', { count: channel.member_count })}
          {channel.topic && ` · ${channel.topic}`}
        </p>
        {channel.description && <p dir="auto">{channel.description}</p>}
        <p>{removal ? t(`chats.ended.${removal}`) : t('chats.notJoined')}</p>
        <div>
          <Button variant="primary" onClick={join}>
            {t('chats.join')}
          </Button>
          <Button onClick={() => navigate('/')}>{t('backToChats')}</Button>
        </div>
      </main>
    );
  }
  if (failure === null) return <main className={appShellStyles.emptyState} aria-busy="true" />;
  const isBanned = removal === 'banned' || (failure instanceof ApiError && failure.status === 403);
  const isMissing = failure instanceof ApiError && failure.status === 404;
  const reason = isBanned ? 'banned' : removal;
  return (
    <main className={appShellStyles.emptyState}>
      <Icon name="warn" size={40} />
      <h1>{reason ? t(`chats.ended.${reason}`) : isMissing ? t('chats.notFound') : getErrorMessage(failure)}</h1>
      {!reason && isMissing && <p>{t('chats.notFoundHint')}</p>}
      <div>
        <Button onClick={() => navigate('/')}>{t('backToChats')}</Button>
      </div>
    </main>
  );
}
