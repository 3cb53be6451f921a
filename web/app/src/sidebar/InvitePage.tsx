import type { InvitePreview } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import appShellStyles from '../AppShell.module.css';
import { getErrorMessage } from '../locales/errorMessage';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';

/** The page that an invite link opens. */
export default function InvitePage({ code }: { readonly code: string }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const [preview, setPreview] = useState<InvitePreview | null>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    chatStore.client.api.invites.preview(code).then(setPreview, (error) => setError(getErrorMessage(error)));
  }, [code, chatStore]);

  const accept = () =>
    withToast(async () => {
      const chat = await chatStore.client.api.invites.accept(code);
      await chatStore.ensureChat(chat.id);
      navigate(`/chats/${chat.id}`);
    });

  return (
    <main className={appShellStyles.emptyState} aria-busy={!preview && !error}>
      <Icon name={error ? 'warn' : 'people'} size={40} />
      {preview && (
        <>
          <h1>{t('invite.invitedTo', { name: preview.chat.name })}</h1>
          <p>
            {t('members.count', { count: preview.chat.member_count })}
            {preview.chat.description && ` · ${preview.chat.description}`}
          </p>
          <div>
            <Button variant="primary" onClick={accept}>
              {t('chats.join')}
            </Button>
          </div>
        </>
      )}
      {error && (
        <>
          <h1>{t('invite.invalid')}</h1>
          <p>{error}</p>
          <Button onClick={() => navigate('/')}>{t('backToChats')}</Button>
        </>
      )}
    </main>
  );
}
