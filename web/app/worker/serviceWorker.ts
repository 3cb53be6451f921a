/**
 * The service worker: shows what the server pushes while no page is open. It has no imports, so that it is one file,
 * and stores nothing: an update of Confab never meets an old copy of a page.
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
