import type { Api, Preview } from '@confab/sdk';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { registerServiceWorker, SERVICE_WORKER_PATH } from '../serviceWorker';
import { deviceStorage } from '../storage';
import type { ChatState } from '../store/chatState';
import { useChatState, useChatStore } from '../store/hooks';

/** Where the service worker finds the subscription. */
const SUBSCRIPTION_CACHE = 'confab-push';
const SUBSCRIPTION_KEY = '/push-subscription';

/** Storage key: what the pushes of an account show on this device; absent if it gets none. */
const storageKey = (userId: number) => `confab.push.${userId}`;

const PREVIEWS: readonly Preview[] = ['full', 'sender', 'none'];

/** Whether this browser can receive pushes from this page: only pages with https, or of this device, can. */
export function isPushSupported(): boolean {
  return isSecureContext && 'serviceWorker' in navigator && 'PushManager' in globalThis;
}

/** What the pushes of an account show on this device; null if it gets none. */
export function getPushPreview(userId: number): Preview | null {
  const stored = isPushSupported() ? deviceStorage.getItem(storageKey(userId)) : null;
  return PREVIEWS.find((preview) => preview === stored) ?? null;
}

/** Subscribes this device for an account. Throws if the browser or the server does not accept it. */
export async function enablePush(api: Api, userId: number, preview: Preview): Promise<void> {
  await subscribe(api, preview);
  deviceStorage.setItem(storageKey(userId), preview);
}

/** Ends the pushes of an account. Other accounts on this device keep theirs. */
export async function disablePush(api: Api, userId: number): Promise<void> {
  await api.push.unsubscribe();
  deviceStorage.removeItem(storageKey(userId));
}

async function subscribe(api: Api, preview: Preview): Promise<void> {
  const applicationServerKey = await api.push.getKey();
  const key = decodeBase64Url(applicationServerKey);
  await registerServiceWorker();
  const registration = await navigator.serviceWorker.ready;
  const existing = await registration.pushManager.getSubscription();
  // A subscription is for one key: another server may have run at this address.
  if (existing && !isEqual(existing.options.applicationServerKey, key)) await existing.unsubscribe();
  const options = { userVisibleOnly: true, applicationServerKey: key };
  const { endpoint, keys } = (await registration.pushManager.subscribe(options)).toJSON();
  await api.push.subscribe({
    endpoint: endpoint ?? '',
    keys: { p256dh: keys?.p256dh ?? '', auth: keys?.auth ?? '' },
    preview,
  });
  // For the service worker, which replaces a subscription that the browser ends.
  const stored = { endpoint, auth: keys?.auth, applicationServerKey };
  const cache = await caches.open(SUBSCRIPTION_CACHE);
  await cache.put(SUBSCRIPTION_KEY, new Response(JSON.stringify(stored)));
}

function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const bytes = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(bytes, (char) => char.charCodeAt(0));
}

function isEqual(buffer: ArrayBuffer | null, bytes: Uint8Array): boolean {
  const other = new Uint8Array(buffer ?? new ArrayBuffer(0));
  return other.length === bytes.length && other.every((byte, index) => byte === bytes[index]);
}

/**
 * Renews the subscription when the app opens, because browsers replace and drop subscriptions; opens the chat of a
 * notification that was clicked; closes notifications of chats that are read here or elsewhere; and keeps the badge.
 */
export function usePush() {
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const unreadChats = useChatState(countUnreadChats);
  const { id } = chatStore.account;
  useEffect(() => {
    const preview = getPushPreview(id);
    if (!preview) return;
    // The next start tries again.
    subscribe(chatStore.client.api, preview).catch((error) => console.warn('cannot renew the subscription', error));
  }, [chatStore, id]);
  useEffect(() => {
    if (!isPushSupported()) return;
    const handleMessage = ({ data, ports }: MessageEvent<{ type?: string; path?: string; userId?: number }>) => {
      if (data.type !== 'navigate' || !data.path || data.userId !== id) return;
      ports[0]?.postMessage(true);
      navigate(data.path);
    };
    navigator.serviceWorker.addEventListener('message', handleMessage);
    return () => navigator.serviceWorker.removeEventListener('message', handleMessage);
  }, [navigate, id]);
  useEffect(
    () => chatStore.client.on('read_state', ({ chat_id }) => void closeNotifications(`chat-${id}-${chat_id}`)),
    [chatStore, id],
  );
  useEffect(() => {
    if (!getPushPreview(id)) return;
    // Not all systems have badges.
    navigator.setAppBadge?.(unreadChats).catch(() => {});
  }, [unreadChats, id]);
}

/** The number on the badge, as the server counts it for pushes. */
function countUnreadChats({ chats }: ChatState): number {
  return [...chats.values()].filter((chat) => !chat.is_muted && chat.unread_count > 0).length;
}

/** Shows a notification as the service worker does, so that a push about the same chat takes its place. */
export async function showPersistentNotification(title: string, options: NotificationOptions): Promise<boolean> {
  if (!isPushSupported()) return false;
  const registration = await navigator.serviceWorker.getRegistration(SERVICE_WORKER_PATH);
  await registration?.showNotification(title, options);
  return registration !== undefined;
}

async function closeNotifications(tag: string): Promise<void> {
  if (!isPushSupported()) return;
  const registration = await navigator.serviceWorker.getRegistration(SERVICE_WORKER_PATH);
  for (const notification of (await registration?.getNotifications({ tag })) ?? []) notification.close();
}
