import { Suspense, useEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';
import { useStore } from 'zustand';
import styles from './AppShell.module.css';
import { ConnectionBanner } from './ConnectionBanner';
import { ChatRoute } from './conversation/ChatRoute';
import { focusComposer } from './conversation/textarea';
import { getErrorMessage } from './locales/errorMessage';
import { useOfflineStart } from './offline';
import { useIntegrationNotices } from './settings/integrationNotices';
import { useNotifications } from './settings/notifications';
import { usePush } from './settings/push';
import { useShortcuts } from './shortcuts/useShortcuts';
import { Sidebar } from './sidebar/Sidebar';
import { getChatTitle, parseChatId, parseId, useChatState, useChatStore } from './store/hooks';
import { Button } from './ui/Button';
import { ErrorBoundary } from './ui/ErrorBoundary';
import { Icon } from './ui/Icon';
import { hasPhysicalKeyboard } from './ui/keyboard';
import { LazyModule, lazyWithRetry, retryFailedLoads } from './ui/lazyWithRetry';
import { menuModule } from './ui/Menu';
import { closePopup, usePopup } from './ui/popup';
import { dismissToast, showToast, useToast } from './ui/toast';
import { useUiStore } from './uiStore';

const modalModule = new LazyModule(() => import('./ModalRoot'));
const ModalRoot = modalModule.component((part) => part.default);
const popupModule = new LazyModule(() => import('./PopupRoot'));
const PopupRoot = popupModule.component((part) => part.default);
const TooltipRoot = lazyWithRetry(() => import('./ui/TooltipRoot'));
const DebugPanel = lazyWithRetry(() => import('./debug/DebugPanel'));
const UpdateBanner = lazyWithRetry(() => import('./UpdateBanner'));
const InboxPage = lazyWithRetry(() => import('./inbox/InboxPage'));
const SavedPage = lazyWithRetry(() => import('./inbox/SavedPage'));
const InvitePage = lazyWithRetry(() => import('./sidebar/InvitePage'));
const OperatorPage = lazyWithRetry(() => import('./operator/OperatorPage'));

/** The main screen of a signed-in user. */
export function AppShell() {
  const chatStore = useChatStore();
  const isLoaded = useStore(chatStore.store, ({ state }) => state !== null);
  const failure = useStore(chatStore.store, (state) => state.failure);
  return isLoaded ? <Panes /> : <LoadingScreen failure={failure} />;
}

function Panes() {
  const [hasTooltips, setHasTooltips] = useState(false);
  // Preload the chunks that the next click probably needs.
  useEffect(() => {
    const timer = setTimeout(() => {
      // The chunk is loaded again when it is needed.
      Promise.all([modalModule.preload(), menuModule.preload(), popupModule.preload()]).catch(retryFailedLoads);
      setHasTooltips(hasPhysicalKeyboard());
    }, 500);
    return () => clearTimeout(timer);
  }, []);
  const popup = usePopup((open) => open.popup);
  const [path] = useLocation();
  const modal = useUiStore((ui) => ui.modal);
  const closeModal = useUiStore((ui) => ui.closeModal);
  // Navigation closes the open modal.
  useEffect(
    () => () => {
      closeModal();
      closePopup();
    },
    [path, closeModal],
  );
  useRestoreFocus(modal !== null, path);
  useDocumentTitle();
  useNotifications();
  usePush();
  useIntegrationNotices();
  useShortcuts();
  useOfflineStart();
  return (
    <div className={styles.panes} data-pane={path === '/' ? 'chats' : 'chat'}>
      <div className={styles.banners}>
        <ConnectionBanner />
        <Suspense>
          <UpdateBanner />
        </Suspense>
      </div>
      <Sidebar />
      <Switch>
        <Route path="/chats/:id/:message?">
          {({ id, message }) => <ChatRoute chatId={parseId(id) ?? 0} messageId={parseId(message)} />}
        </Route>
        <Route path="/invite/:code">
          {({ code }) => (
            <ErrorBoundary>
              <InvitePage code={code} />
            </ErrorBoundary>
          )}
        </Route>
        <Route path="/debug">
          <main className={styles.page}>
            <ErrorBoundary>
              <DebugPanel />
            </ErrorBoundary>
          </main>
        </Route>
        <Route path="/inbox">
          <main className={styles.page}>
            <ErrorBoundary>
              <InboxPage />
            </ErrorBoundary>
          </main>
        </Route>
        <Route path="/saved">
          <main className={styles.page}>
            <ErrorBoundary>
              <SavedPage />
            </ErrorBoundary>
          </main>
        </Route>
        <Route path="/operator">
          <main className={styles.page}>
            <ErrorBoundary>
              <OperatorPage />
            </ErrorBoundary>
          </main>
        </Route>
        <Route>
          <EmptyState />
        </Route>
      </Switch>
      {modal && (
        <ErrorBoundary key={modal.kind}>
          <ModalRoot modal={modal} />
        </ErrorBoundary>
      )}
      {popup && (
        <ErrorBoundary key={popup.kind} fallback={null} renderError={() => <PopupFailure />}>
          <PopupRoot popup={popup} />
        </ErrorBoundary>
      )}
      {hasTooltips && (
        <ErrorBoundary renderError={() => null}>
          <TooltipRoot />
        </ErrorBoundary>
      )}
      {createPortal(<Toast />, document.body)}
    </div>
  );
}

/** Shows a toast if a popup failed to load. The next click loads it again. */
function PopupFailure() {
  const { t } = useTranslation();
  useEffect(() => {
    showToast(t('errorBoundary.loadFailed'));
    retryFailedLoads();
    closePopup();
  }, [t]);
  return null;
}

/** Focuses the composer after a modal that opened a chat, or if the element that had the focus no longer exists. */
function useRestoreFocus(isModalOpen: boolean, path: string) {
  const wasModalOpen = useRef(false);
  const pathBefore = useRef(path);
  useEffect(() => {
    const hasJustClosed = wasModalOpen.current && !isModalOpen;
    const isElsewhere = path !== pathBefore.current;
    wasModalOpen.current = isModalOpen;
    if (!isModalOpen) pathBefore.current = path;
    if (!hasJustClosed) return;
    // Wait until the dialog has tried to restore the focus.
    const timer = setTimeout(() => {
      // On a phone, focus would open the keyboard.
      if (hasPhysicalKeyboard() && (isElsewhere || document.activeElement === document.body)) focusComposer();
    }, 50);
    return () => clearTimeout(timer);
  }, [isModalOpen, path]);
}

/** Shown when no chat is open. */
function EmptyState() {
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  const hasChats = useChatState(({ chats }) => chats.size > 0);
  return (
    <main className={styles.emptyState}>
      <img src="/icon.svg" alt="" width={56} height={56} />
      <h1>{hasChats ? t('emptyState.chooseChat') : t('emptyState.noChats')}</h1>
      <p>{t('emptyState.hint')}</p>
      <div>
        <Button variant="primary" onClick={() => openModal({ kind: 'newChat' })}>
          {t('chats.new')}
        </Button>
        <Button onClick={() => openModal({ kind: 'browseChannels' })}>{t('chats.browse')}</Button>
      </div>
    </main>
  );
}

function LoadingScreen({ failure }: { readonly failure: unknown }) {
  const { t } = useTranslation();
  return (
    <main className={styles.loading} aria-busy={failure === null}>
      {failure === null ? (
        <Skeleton />
      ) : (
        <div className={styles.emptyState} role="alert">
          <Icon name="plug" size={40} />
          <h1>{t('unreachable.title')}</h1>
          <p>{getErrorMessage(failure)}</p>
          <p>{t('unreachable.retrying')}</p>
        </div>
      )}
    </main>
  );
}

/** Placeholder for the sidebar and the timeline while they load. */
function Skeleton() {
  const { t } = useTranslation();
  return (
    <>
      <p className="visually-hidden">{t('loading')}</p>
      <div className={styles.skeleton} aria-hidden="true">
        <div>
          {Array.from({ length: 8 }, (_, nth) => (
            <i key={nth} style={{ width: `${60 + ((nth * 37) % 40)}%` }} />
          ))}
        </div>
        <div>
          {Array.from({ length: 9 }, (_, nth) => (
            <i key={nth} style={{ width: `${35 + ((nth * 53) % 50)}%` }} />
          ))}
        </div>
      </div>
    </>
  );
}

function Toast() {
  const toast = useToast(({ toast }) => toast);
  useEffect(() => {
    if (!toast) return;
    const timer = setTimeout(() => dismissToast(toast.id), 5_000);
    return () => clearTimeout(timer);
  }, [toast]);
  return (
    <div role="alert" aria-live="assertive" className={styles.toasts}>
      {toast && (
        <p key={toast.id} className={styles.toast}>
          {toast.text}
        </p>
      )}
    </div>
  );
}

/** Shows the unread count and the open chat in the document title, and unread messages in its icon. */
function useDocumentTitle() {
  const [path] = useLocation();
  const chatId = parseChatId(path) ?? 0;
  const title = useChatState((state) => {
    const chat = state.chats.get(chatId);
    return chat ? getChatTitle(state, chat) : null;
  });
  const badgeCount = useChatState(({ chats }) => {
    const unmuted = [...chats.values()].filter((chat) => !chat.is_muted);
    return unmuted.reduce((sum, chat) => sum + (chat.type === 'single' ? chat.unread_count : chat.mention_count), 0);
  });
  const hasUnread = useChatState(({ chats }) =>
    [...chats.values()].some((chat) => !chat.is_muted && chat.unread_count > 0),
  );
  useEffect(() => {
    const prefix = badgeCount > 0 ? `(${badgeCount}) ` : hasUnread ? '• ' : '';
    document.title = `${prefix}${title ? `${title} · ` : ''}Confab`;
    // The icon of the tab has a dot for what is addressed to the user.
    document.querySelector('link[rel="icon"]')?.setAttribute('href', badgeCount > 0 ? '/icon-unread.svg' : '/icon.svg');
  }, [title, badgeCount, hasUnread]);
}
