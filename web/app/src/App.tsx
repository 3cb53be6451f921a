import { useEffect, useMemo, useState } from 'react';
import { AppShell } from './AppShell';
import { type Account, activate, currentAccount, listAccounts, signOut } from './auth/accounts';
import { SignInPage } from './auth/SignInPage';
import { deviceStorage } from './storage';
import { ChatStore } from './store/chatStore';
import { ChatStoreContext } from './store/hooks';
import { ErrorBoundary } from './ui/ErrorBoundary';
import { clearFileCache } from './ui/files';
import { useUiStore } from './uiStore';

/** Somebody's rooms, or the door. */
export function App() {
  const [account, setAccount] = useState(restoreAccount);
  const chatStore = useMemo(() => account && new ChatStore(account, activate(account)), [account]);

  useEffect(() => {
    if (!chatStore) return;
    void chatStore.open();
    const handleSignedOut = () => {
      signOut();
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
      useUiStore.getState().closeModal();
    };
  }, [chatStore]);

  if (!chatStore) return <SignInPage onSignedIn={setAccount} />;
  return (
    <ErrorBoundary>
      <ChatStoreContext value={chatStore} key={chatStore.account.id}>
        <AppShell />
      </ChatStoreContext>
    </ErrorBoundary>
  );
}

/**
 * Who a new tab belongs to: whoever it was, or the only one who is signed in on this
 * device. Where the server offers a demo world, a second window is there to be a
 * second person, so it asks; the page says so before the server is asked.
 */
function restoreAccount(): Account | null {
  const current = currentAccount();
  if (current) return current;
  const [only, ...others] = listAccounts();
  const isDemo = deviceStorage.getItem('confab.demo') === 'true';
  return only && others.length === 0 && !isDemo ? only : null;
}
