import type { ChatSummary, Message, NotificationLevel } from '@confab/sdk';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { deviceStorage } from '../storage';
import { type ChatState, isBlocked } from '../store/chatState';
import type { ChatStore } from '../store/chatStore';
import { useChatStore } from '../store/hooks';
import { showPersistentNotification } from './push';

const STORAGE_KEY = 'confab.notify';

/** Storage key: when any tab last had the focus, in milliseconds since 1970. */
const LAST_FOCUSED_KEY = 'confab.looked';

/** How often a focused tab records its focus, in milliseconds. */
const FOCUS_INTERVAL_MS = 2_000;

/** How long messages of a chat are collected, or read elsewhere, before they notify, in milliseconds. */
const DELAY_MS = 1_000;

/** Whether notifications are enabled on this device. */
export function areNotificationsEnabled(): boolean {
  return (
    deviceStorage.getItem(STORAGE_KEY) === 'true' &&
    'Notification' in globalThis &&
    Notification.permission === 'granted'
  );
}

/** Whether the browser was told never to show notifications of this page. */
export function areNotificationsBlocked(): boolean {
  return 'Notification' in globalThis && Notification.permission === 'denied';
}

/** Requests permission from the browser. Returns whether it was granted. */
export async function setNotificationsEnabled(isEnabled: boolean): Promise<boolean> {
  const isGranted = isEnabled && 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  deviceStorage.setItem(STORAGE_KEY, String(isGranted));
  return isGranted;
}

/** Shows notifications while a tab is open and none has the focus. */
export function useNotifications() {
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  useEffect(() => {
    const recordFocus = () => document.hasFocus() && deviceStorage.setItem(LAST_FOCUSED_KEY, String(Date.now()));
    const timer = setInterval(recordFocus, FOCUS_INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    const waiting = new Map<number, ReturnType<typeof setTimeout>>();
    const stop = chatStore.client.on('message.new', ({ message }) => {
      // Events replayed during catch-up do not notify, and only the leader tab notifies.
      const isLive = chatStore.client.state === 'live' && chatStore.client.isLeader;
      const isPossible = isLive && canNotify(chatStore, message) && !isAppFocused() && areNotificationsEnabled();
      if (!isPossible || waiting.has(message.chat_id)) return;
      const timer = setTimeout(() => {
        waiting.delete(message.chat_id);
        // A request that fails leaves the messages unread.
        showNotification(chatStore, message, navigate).catch((error) => console.warn('cannot notify', error));
      }, DELAY_MS);
      waiting.set(message.chat_id, timer);
    });
    return () => {
      stop();
      for (const timer of waiting.values()) clearTimeout(timer);
    };
  }, [chatStore, navigate]);
}

function isAppFocused(): boolean {
  return (
    document.hasFocus() || Date.now() - Number(deviceStorage.getItem(LAST_FOCUSED_KEY) ?? 0) < 2 * FOCUS_INTERVAL_MS
  );
}

/** Whether the server is to be asked about a message: it decides (`push/rules.rs`), and most notify of nothing. */
function canNotify({ state }: ChatStore, message: Message): boolean {
  const chat = state?.chats.get(message.chat_id);
  if (!state || !chat || message.kind === 'system') return false;
  if (message.sender_id === state.me.id || isBlocked(state, message.sender_id)) return false;
  // The event that ends a mute comes within a minute.
  if (chat.is_muted && !(chat.muted_until && Date.parse(chat.muted_until) <= Date.now())) return false;
  const isForMe = message.mentions_everyone || message.mentions.includes(state.me.id) || message.reply_to !== null;
  const level = getNotificationLevel(state, chat);
  const hasKeywords = state.notificationSettings.keywords.length > 0;
  return level === 'all' || (level === 'mentions' && (isForMe || hasKeywords));
}

/** Which messages of a chat notify the user. */
export function getNotificationLevel({ notificationSettings }: ChatState, chat: ChatSummary): NotificationLevel {
  const { direct_level, group_level, channel_level } = notificationSettings;
  const ofType = chat.type === 'single' ? direct_level : chat.type === 'group' ? group_level : channel_level;
  return chat.notification_level ?? ofType;
}

/** Shows what notifies the user since a message, if it is still unread. */
async function showNotification(
  { client, account }: ChatStore,
  { chat_id, id }: Message,
  navigate: (path: string) => void,
): Promise<void> {
  const notification = await client.api.chats.getNotification(chat_id, id);
  if (!notification || isAppFocused()) return;
  const options = {
    body: notification.body,
    silent: !notification.is_urgent,
    // A push about the same chat takes its place.
    tag: `chat-${account.id}-${chat_id}`,
    icon: '/icon.svg',
    data: { navigate: `/chats/${chat_id}/${notification.message_id}`, userId: account.id },
  };
  const isShown = await showPersistentNotification(notification.title, options);
  if (!isShown) showPageNotification(notification.title, options, navigate);
}

function showPageNotification(
  title: string,
  options: NotificationOptions & { readonly data: { readonly navigate: string } },
  navigate: (path: string) => void,
): void {
  try {
    const notification = new Notification(title, options);
    notification.onclick = () => {
      focus();
      navigate(options.data.navigate);
      notification.close();
    };
  } catch {
    // Some phones define `Notification` but its constructor throws.
  }
}
