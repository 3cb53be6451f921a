/**
 * The service worker: shows what the server pushes while no page is open. It has no imports, so that it is one file,
 * and stores no page: an update of Confab never meets an old copy of one.
 */
export {};

declare const self: ServiceWorkerGlobalScope;

/** How long a page has to answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 500;

/** What the server pushes: a declarative message (`integration_server/src/push/mod.rs`). */
interface PushMessage {
  readonly notification: {
    readonly title: string;
    readonly body: string;
    /** The page that a click opens. */
    readonly navigate: string;
    readonly tag: string;
    readonly silent: boolean;
    readonly data: { readonly user_id: number };
  };
  /** How many chats have unread messages. */
  readonly app_badge: number;
}

self.addEventListener('install', () => void self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('push', (event) => event.waitUntil(show(readMessage(event.data))));

/** A push that cannot be read is shown too: browsers end subscriptions that show nothing. */
function readMessage(data: PushMessageData | null): PushMessage {
  try {
    const message = data?.json() as PushMessage | null | undefined;
    if (message?.notification.title) return message;
  } catch {
    // Not JSON.
  }
  const unknown = { title: 'Confab', body: 'New message', navigate: '/', tag: 'confab', silent: false };
  return { notification: { ...unknown, data: { user_id: 0 } }, app_badge: 1 };
}

async function show({ notification, app_badge }: PushMessage): Promise<void> {
  const { title, body, navigate, tag, silent, data } = notification;
  // A further message of the chat takes the place of the first, and is heard too. TypeScript does not know `renotify`.
  const options = { body, tag, silent, renotify: !silent, icon: '/icon.svg', data: { navigate, userId: data.user_id } };
  await self.registration.showNotification(title, options as NotificationOptions);
  try {
    await (self.navigator as Partial<WorkerNavigator>).setAppBadge?.(app_badge);
  } catch {
    // Not all systems have badges.
  }
}

/** Where the page (`src/settings/push.ts`) stores the subscription, with the key of the server. */
const SUBSCRIPTION_CACHE = 'confab-push';
const SUBSCRIPTION_KEY = '/push-subscription';

/** What the page stores. */
interface StoredSubscription {
  readonly endpoint: string;
  readonly auth: string;
  readonly applicationServerKey: string;
}

self.addEventListener('pushsubscriptionchange', (event) => (event as ExtendableEvent).waitUntil(renewSubscription()));

/** Replaces a subscription that the browser ended. If this fails, the page subscribes again when it opens. */
async function renewSubscription(): Promise<void> {
  const cache = await caches.open(SUBSCRIPTION_CACHE);
  const stored = await cache.match(SUBSCRIPTION_KEY);
  if (!stored) return;
  const old = (await stored.json()) as StoredSubscription;
  const options = { userVisibleOnly: true, applicationServerKey: old.applicationServerKey };
  const { endpoint, keys } = (await self.registration.pushManager.subscribe(options)).toJSON();
  if (!endpoint || !keys?.auth) return;
  const response = await fetch('/api/push/subscription/renewal', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ endpoint: old.endpoint, auth: old.auth, new_endpoint: endpoint, new_keys: keys }),
  });
  if (!response.ok) return;
  const renewed: StoredSubscription = { ...old, endpoint, auth: keys.auth };
  await cache.put(SUBSCRIPTION_KEY, new Response(JSON.stringify(renewed)));
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { navigate, userId } = event.notification.data as { readonly navigate: string; readonly userId: number };
  event.waitUntil(open(new URL(navigate, self.location.origin), userId));
});

/** Shows a page in an open window of the account, or in a new one. */
async function open(url: URL, userId: number): Promise<void> {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const byUse = [...windows].sort((one, other) => Number(other.focused) - Number(one.focused));
  for (const client of byUse) {
    if (await navigateClient(client, url.pathname, userId)) {
      await client.focus();
      return;
    }
  }
  await self.clients.openWindow(url.pathname);
}

/** Asks a page to show another one. Returns false if it does not answer: it is of another account, or no chat. */
function navigateClient(client: WindowClient, path: string, userId: number): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => resolve(true);
    setTimeout(() => resolve(false), ANSWER_TIMEOUT_MS);
    client.postMessage({ type: 'navigate', path, userId }, [port2]);
  });
}
