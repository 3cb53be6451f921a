import type { Api, Preview } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useLocation } from 'wouter';
import { deviceStorage } from '../storage';
import { useChatStore } from '../store/hooks';

/** The built service worker (`worker/serviceWorker.ts`). */
const SERVICE_WORKER_PATH = '/sw.js';

/** The part of the Trusted Types API that TypeScript does not know. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { readonly createScriptURL: () => string },
  ): { readonly createScriptURL: (url: string) => string };
}

/** The address of the service worker, which the content security policy wants as a trusted URL. */
function getServiceWorkerUrl(): string {
  const { trustedTypes } = globalThis as { readonly trustedTypes?: TrustedTypes };
  if (!trustedTypes) return SERVICE_WORKER_PATH;
  policy ??= trustedTypes.createPolicy('confab-service-worker', { createScriptURL: () => SERVICE_WORKER_PATH });
  return policy.createScriptURL(SERVICE_WORKER_PATH);
}

let policy: ReturnType<TrustedTypes['createPolicy']> | null = null;

/** Storage key: whether an account gets pushes on this device. */
const storageKey = (userId: number) => `confab.push.${userId}`;

/** Whether this browser can receive pushes from this page: only pages with https, or of this device, can. */
export function isPushSupported(): boolean {
  return isSecureContext && 'serviceWorker' in navigator && 'PushManager' in globalThis;
}

/** Whether an account gets pushes on this device. */
export function isPushEnabled(userId: number): boolean {
  return isPushSupported() && deviceStorage.getItem(storageKey(userId)) === 'true';
}

/** Subscribes this device for an account. Throws if the browser or the server does not accept it. */
export async function enablePush(api: Api, userId: number, preview: Preview): Promise<void> {
  await subscribe(api, preview);
  deviceStorage.setItem(storageKey(userId), 'true');
}

/** Ends the pushes of an account. Other accounts on this device keep theirs. */
export async function disablePush(api: Api, userId: number): Promise<void> {
  deviceStorage.removeItem(storageKey(userId));
  await api.push.unsubscribe();
}

async function subscribe(api: Api, preview: Preview): Promise<void> {
  const key = decodeBase64Url(await api.push.getKey());
  await navigator.serviceWorker.register(getServiceWorkerUrl());
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
}

function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const bytes = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(bytes, (char) => char.charCodeAt(0));
}

function isEqual(buffer: ArrayBuffer | null, bytes: Uint8Array): boolean {
  const other = new Uint8Array(buffer ?? new ArrayBuffer(0));
  return other.length === bytes.length && other.every((byte, index) => byte === bytes[index]);
}

/** What the notifications of this device show; null until it is known, and without a subscription. */
export function usePreview(isEnabled: boolean): [Preview | null, (preview: Preview) => Promise<void>] {
  const { api } = useChatStore().client;
  const [preview, setPreview] = useState<Preview | null>(null);
  useEffect(() => {
    setPreview(null);
    if (!isEnabled) return;
    api.push.getSubscription().then(
      (subscription) => setPreview(subscription.preview),
      () => setPreview(null),
    );
  }, [api, isEnabled]);
  const change = async (next: Preview) => {
    await subscribe(api, next);
    setPreview(next);
  };
  return [preview, change];
}

/**
 * Renews the subscription when the app opens, because browsers replace and drop subscriptions; opens the chat of a
 * notification that was clicked; and closes notifications of chats that are read here or elsewhere.
 */
export function usePush() {
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  useEffect(() => {
    const { client, account } = chatStore;
    if (!isPushEnabled(account.id)) return;
    const renew = async () => {
      const { preview } = await client.api.push.getSubscription().catch(() => ({ preview: 'full' as const }));
      await subscribe(client.api, preview);
    };
    // The next start tries again.
    renew().catch((error) => console.warn('cannot renew the push subscription', error));
  }, [chatStore]);
  useEffect(() => {
    if (!isPushSupported()) return;
    const handleMessage = ({ data }: MessageEvent<{ readonly type?: string; readonly path?: string }>) => {
      if (data.type === 'navigate' && data.path) navigate(data.path);
    };
    navigator.serviceWorker.addEventListener('message', handleMessage);
    return () => navigator.serviceWorker.removeEventListener('message', handleMessage);
  }, [navigate]);
  useEffect(
    () => chatStore.client.on('read_state', ({ chat_id }) => void closeNotifications(`chat-${chat_id}`)),
    [chatStore],
  );
}

async function closeNotifications(tag: string): Promise<void> {
  if (!isPushSupported()) return;
  const registration = await navigator.serviceWorker.getRegistration(SERVICE_WORKER_PATH);
  for (const notification of (await registration?.getNotifications({ tag })) ?? []) notification.close();
}
