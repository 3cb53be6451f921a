/**
 * The service worker: shows what the server pushes while no page is open. It has no imports, so that it is one file,
 * and stores nothing: an update of Confab never meets an old copy of a page.
 */
export {};

declare const self: ServiceWorkerGlobalScope;

/** What the server pushes: a declarative message (`integration_server/src/push/mod.rs`). */
interface PushMessage {
  readonly notification: {
    readonly title: string;
    readonly body: string;
    /** The page that a click opens. */
    readonly navigate: string;
    readonly tag: string;
    readonly silent: boolean;
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
    return data?.json() as PushMessage;
  } catch {
    const notification = { title: 'Confab', body: 'New message', navigate: '/', tag: 'confab', silent: false };
    return { notification, app_badge: 1 };
  }
}

async function show({ notification, app_badge }: PushMessage): Promise<void> {
  const { title, body, navigate, tag, silent } = notification;
  await self.registration.showNotification(title, { body, tag, silent, icon: '/icon.svg', data: { navigate } });
  // Not all browsers have badges.
  await (self.navigator as Partial<WorkerNavigator>).setAppBadge?.(app_badge);
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { navigate } = event.notification.data as { readonly navigate: string };
  event.waitUntil(open(new URL(navigate, self.location.origin)));
});

/** Shows a page in an open window of Confab, or in a new one. */
async function open(url: URL): Promise<void> {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const [client] = windows;
  if (!client) {
    await self.clients.openWindow(url.pathname);
    return;
  }
  client.postMessage({ type: 'navigate', path: url.pathname });
  await client.focus();
}
