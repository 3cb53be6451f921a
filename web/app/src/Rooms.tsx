import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';
import { useStore } from 'zustand';
import { ChatPane } from './chat/ChatPane';
import { Invitation } from './chats/Invitation';
import { Sidebar } from './chats/Sidebar';
import { useShortcuts } from './keys/useShortcuts';
import { Offline } from './Offline';
import styles from './Rooms.module.css';
import { useNotifications } from './settings/notifications';
import { Button } from './ui/Button';
import { Fence } from './ui/Fence';
import { Icon } from './ui/Icon';
import { askAgain, lazily, Part } from './ui/lazily';
import { menu } from './ui/Menu';
import { useView } from './view';
import { wordsOf } from './words/failure';
import { chatIdOf, titleOf, useHouse, useWorld } from './world/use';

const layers = new Part(() => import('./Layers'));
const Layers = layers.component((part) => part.default);
const DebugPanel = lazily(() => import('./debug/DebugPanel'));

/** The whole screen of somebody who is signed in. */
export function Rooms() {
  const house = useHouse();
  const isThere = useStore(house.store, ({ world }) => world !== null);
  const failure = useStore(house.store, (state) => state.failure);
  return isThere ? <Panes /> : <Waiting failure={failure} />;
}

function Panes() {
  // What the next click will want is fetched while nobody waits for it.
  useEffect(() => {
    const timer = setTimeout(() => {
      // If not now, then when it is wanted.
      Promise.all([layers.fetch(), menu.fetch()]).catch(askAgain);
    }, 500);
    return () => clearTimeout(timer);
  }, []);
  const [path] = useLocation();
  const layer = useView((view) => view.layer);
  const close = useView((view) => view.close);
  // Another address is another screen: what lay above the last goes with it.
  useEffect(() => close, [path, close]);
  useFocusBack(layer !== null);
  useTitle();
  useNotifications();
  useShortcuts();
  return (
    <div className={styles.panes} data-at={path === '/' ? 'chats' : 'chat'}>
      <Offline />
      <Sidebar />
      <Switch>
        <Route path="/chats/:id/:message?">
          {({ id, message }) => (
            <ChatPane key={id} chatId={Number(id)} messageId={message === undefined ? null : Number(message)} />
          )}
        </Route>
        <Route path="/invite/:code">{({ code }) => <Invitation code={code} />}</Route>
        <Route path="/debug">
          <main className={styles.page}>
            <Fence>
              <DebugPanel />
            </Fence>
          </main>
        </Route>
        <Route>
          <Nothing />
        </Route>
      </Switch>
      {layer && (
        <Fence key={layer.kind}>
          <Layers layer={layer} />
        </Fence>
      )}
      <Toast />
    </div>
  );
}

/** What closes a layer may take away what had the keys before: then they are where one writes. */
function useFocusBack(isLayered: boolean) {
  const wasLayered = useRef(false);
  useEffect(() => {
    const hasClosed = wasLayered.current && !isLayered;
    wasLayered.current = isLayered;
    if (!hasClosed) return;
    // The layer gives them back first.
    const timer = setTimeout(() => {
      // On a phone it would open the keyboard.
      const isTyped = matchMedia('(hover: hover)').matches;
      if (isTyped && document.activeElement === document.body)
        document.querySelector<HTMLElement>('[data-writes]')?.focus();
    }, 50);
    return () => clearTimeout(timer);
  }, [isLayered]);
}

/** No chat is open. */
function Nothing() {
  const { t } = useTranslation();
  const open = useView((view) => view.open);
  const hasChats = useWorld(({ chats }) => chats.size > 0);
  return (
    <main className={styles.nothing}>
      <img src="/icon.svg" alt="" width={56} height={56} />
      <h1>{hasChats ? t('nothing.choose') : t('nothing.empty')}</h1>
      <p>{t('nothing.hint')}</p>
      <div>
        <Button look="main" onClick={() => open({ kind: 'new' })}>
          {t('chats.new')}
        </Button>
        <Button onClick={() => open({ kind: 'browse' })}>{t('chats.browse')}</Button>
      </div>
    </main>
  );
}

function Waiting({ failure }: { readonly failure: unknown }) {
  const { t } = useTranslation();
  return (
    <main className={styles.waiting} aria-busy={failure === null}>
      {failure === null ? (
        <Skeleton />
      ) : (
        <div className={styles.nothing} role="alert">
          <Icon name="plug" size={40} />
          <h1>{t('away.title')}</h1>
          <p>{wordsOf(failure)}</p>
          <p>{t('away.again')}</p>
        </div>
      )}
    </main>
  );
}

/** The shape of what is coming. */
function Skeleton() {
  const { t } = useTranslation();
  return (
    <>
      <p className="unseen">{t('loading')}</p>
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
  const toast = useView((view) => view.toast);
  const hush = useView((view) => view.hush);
  useEffect(() => {
    if (!toast) return;
    const timer = setTimeout(() => hush(toast.nth), 5_000);
    return () => clearTimeout(timer);
  }, [toast, hush]);
  return (
    <div role="alert" className={styles.toasts}>
      {toast && (
        <p key={toast.nth} className={styles.toast}>
          {toast.text}
        </p>
      )}
    </div>
  );
}

/** The tab says what waits, and where one is. */
function useTitle() {
  const [path] = useLocation();
  const chatId = chatIdOf(path) ?? 0;
  const title = useWorld((world) => {
    const row = world.chats.get(chatId);
    return row ? titleOf(world, row) : null;
  });
  const waiting = useWorld(({ chats }) => {
    const loud = [...chats.values()].filter((row) => !row.is_muted);
    return loud.reduce((sum, row) => sum + (row.type === 'single' ? row.unread_count : row.mention_count), 0);
  });
  const hasUnread = useWorld(({ chats }) => [...chats.values()].some((row) => !row.is_muted && row.unread_count > 0));
  useEffect(() => {
    const mark = waiting > 0 ? `(${waiting}) ` : hasUnread ? '• ' : '';
    document.title = `${mark}${title ? `${title} · ` : ''}Confab`;
  }, [title, waiting, hasUnread]);
}
