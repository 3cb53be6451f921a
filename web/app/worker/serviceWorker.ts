/**
 * The service worker: shows what the server pushes while no page is open, and opens pages without a connection. It has
 * no imports, so that it is one file. A page comes from the server whenever that answers, so that none is older than its
 * server.
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

self.addEventListener('install', (event) => {
  void self.skipWaiting();
  event.waitUntil(storeBuild());
});
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

/** The caches with the files of a build, by its version. */
const BUILD_CACHE = 'confab-build-';

/** How many builds are stored: an open page may be of the previous one, and load more of its scripts. */
const KEPT_BUILDS = 2;

/** Where the server lists the files of its build (`vite.config.ts`). */
const FILES_PATH = '/files.json';

/** How long the server has to answer before a stored page is shown, in milliseconds. */
const PAGE_TIMEOUT_MS = 5_000;

/** The page of all paths. */
const PAGE_PATH = '/';

/** Paths of the server that are no pages. */
const SERVER_PATHS = /^\/(api|events|in|livez|mailbox|mcp|metrics|readyz|ws|\.well-known)(\/|$)/;

/** What the server lists. */
interface Build {
  readonly version: string;
  readonly files: readonly string[];
}

/** Stores the files of the server's build, and deletes those of old ones. */
async function storeBuild(): Promise<void> {
  try {
    const response = await fetch(FILES_PATH, { cache: 'no-cache' });
    if (!response.ok) return;
    const { version, files } = (await response.json()) as Build;
    const cache = await caches.open(BUILD_CACHE + version);
    if (await cache.match(PAGE_PATH)) return;
    await cache.addAll(files);
    // During an update, the page may come from a server with another build.
    const page = await fetch(PAGE_PATH, { cache: 'no-cache', headers: { accept: 'text/html' } });
    const scripts = (await page.clone().text()).match(/\/assets\/[\w.-]+/g) ?? [];
    if (!page.ok || scripts.length === 0 || !scripts.every((script) => files.includes(script))) {
      await caches.delete(BUILD_CACHE + version);
      return;
    }
    await cache.put(PAGE_PATH, page);
    const builds = (await caches.keys()).filter((name) => name.startsWith(BUILD_CACHE));
    for (const old of builds.slice(0, -KEPT_BUILDS)) await caches.delete(old);
  } catch {
    // The next page tries again.
  }
}

self.addEventListener('fetch', (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== self.location.origin || SERVER_PATHS.test(pathname)) return;
  if (mode === 'navigate') event.respondWith(loadPage(event));
  else if (pathname.startsWith('/assets/')) event.respondWith(loadAsset(event.request));
});

/** Loads a page from the server; if that does not answer in time, from the newest build that is stored. */
async function loadPage(event: FetchEvent): Promise<Response> {
  const loading = fetch(event.request);
  const timeout = new Promise<null>((resolve) => setTimeout(() => resolve(null), PAGE_TIMEOUT_MS));
  const response = await Promise.race([loading.catch(() => null), timeout]);
  if (response && response.status < 500) {
    event.waitUntil(storeBuild());
    return response;
  }
  const builds = (await caches.keys()).filter((name) => name.startsWith(BUILD_CACHE)).reverse();
  for (const name of builds) {
    const page = await (await caches.open(name)).match(PAGE_PATH);
    if (page) return page;
  }
  return response ?? loading;
}

/** Loads a file whose name contains a hash of its content, so that it is the same for all requests. */
async function loadAsset(request: Request): Promise<Response> {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}

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
