import { Suspense, useEffect, useState } from 'react';
import { AppShell } from './AppShell';
import { type Account, activate, currentAccount, deactivate } from './auth/accounts';
import { findMailLink } from './auth/mailLinks';
import { loadSidebar } from './sidebar/sidebarStore';
import { ChatStore } from './store/chatStore';
import { clearFileCache } from './store/fileCache';
import { ChatStoreContext } from './store/hooks';
import { ErrorBoundary } from './ui/ErrorBoundary';
import { lazyWithRetry } from './ui/lazyWithRetry';
import { closePopup } from './ui/popup';
import { useUiStore } from './uiStore';

const ConsentPage = lazyWithRetry(() => import('./auth/ConsentPage'));

const SignInPage = lazyWithRetry(() => import('./auth/SignInPage'));
const MailLinkPage = lazyWithRetry(() => import('./auth/MailLinkPage'));

/** The page to which programs send the browser (`AUTHORIZE_PATH` of the server). */
const CONSENT_PATH = '/oauth/authorize';

/** The chats of the signed-in user, the consent page, the page of a link in a mail, or the sign-in page. */
export function App() {
  const [account, setAccount] = useState(currentAccount);
  const [chatStore, setChatStore] = useState<ChatStore | null>(null);
  const [isAtMailLink, setIsAtMailLink] = useState(() => findMailLink() !== undefined);

  useEffect(() => {
    if (!account || isAtMailLink) return;
    // Created in the effect that also closes it, so that a second mount leaves no open store.
    loadSidebar(account.id);
    const chatStore = new ChatStore(account, activate(account));
    setChatStore(chatStore);
    void chatStore.open();
    const handleSignedOut = () => {
      chatStore.deleteSnapshot().catch(() => {});
      deactivate();
      setAccount(null);
    };
    const unsubscribeState = chatStore.client.on('state', ({ to }) => to === 'unauthorized' && handleSignedOut());
    const unsubscribeSession = chatStore.session.on('changed', ({ isSignedIn }) => !isSignedIn && handleSignedOut());
    return () => {
      unsubscribeState();
      unsubscribeSession();
      chatStore.close();
      chatStore.session.close();
      clearFileCache(chatStore);
      import('./search/searchStore').then(({ resetSearch }) => resetSearch()).catch(() => {});
      closePopup();
      useUiStore.getState().closeModal();
      setChatStore(null);
    };
  }, [account, isAtMailLink]);

  if (isAtMailLink) {
    const handleSignedIn = (account: Account) => {
      setIsAtMailLink(false);
      setAccount(account);
    };
    return (
      <ErrorBoundary>
        <Suspense>
          <MailLinkPage onSignedIn={handleSignedIn} />
        </Suspense>
      </ErrorBoundary>
    );
  }
  if (!account) {
    return (
      <ErrorBoundary>
        <Suspense>
          <SignInPage onSignedIn={setAccount} />
        </Suspense>
      </ErrorBoundary>
    );
  }
  if (chatStore?.account !== account) return null;
  return (
    <ErrorBoundary>
      <ChatStoreContext value={chatStore} key={chatStore.account.id}>
        {location.pathname === CONSENT_PATH ? (
          <Suspense>
            <ConsentPage />
          </Suspense>
        ) : (
          <AppShell />
        )}
      </ChatStoreContext>
    </ErrorBoundary>
  );
}
