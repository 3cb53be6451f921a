import type { Message } from '@confab/sdk';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { deviceStorage } from '../storage';
import { isBlocked } from '../store/chatState';
import type { ChatStore } from '../store/chatStore';
import { getAuthorName, getChatTitle, getMessagePreview, useChatStore } from '../store/hooks';
import { showPersistentNotification } from './push';

const STORAGE_KEY = 'confab.notify';

/** Storage key: when any tab last had the focus, in milliseconds since 1970. */
const LAST_FOCUSED_KEY = 'confab.looked';

/** How often a focused tab records its focus, in milliseconds. */
const FOCUS_INTERVAL_MS = 2_000;

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
  useEffect(
    () =>
      chatStore.client.on('message.new', ({ message }) => {
        // Events replayed during catch-up do not notify, and only the leader tab notifies.
        const isLive = chatStore.client.state === 'live' && chatStore.client.isLeader;
        if (isLive && shouldNotify(chatStore, message) && !isAppFocused() && areNotificationsEnabled())
          showNotification(chatStore, message, navigate);
      }),
    [chatStore, navigate],
  );
}

function isAppFocused(): boolean {
  return (
    document.hasFocus() || Date.now() - Number(deviceStorage.getItem(LAST_FOCUSED_KEY) ?? 0) < 2 * FOCUS_INTERVAL_MS
  );
}

function shouldNotify({ state }: ChatStore, message: Message): boolean {
  const chat = state?.chats.get(message.chat_id);
  if (!state || !chat || chat.is_muted || message.sender_id === state.me.id || isBlocked(state, message.sender_id))
    return false;
  // As the server decides for pushes (`push/rules.rs`). A reply to a message that is not loaded is not recognized.
  const loaded = state.timelines.get(message.chat_id)?.messages ?? [];
  const isReply = loaded.some(({ id, sender_id }) => id === message.reply_to && sender_id === state.me.id);
  const isForMe = message.mentions_everyone || message.mentions.includes(state.me.id) || isReply;
  return chat.type === 'single' || chat.type === 'group' || isForMe;
}

function showNotification({ state }: ChatStore, message: Message, navigate: (path: string) => void): void {
  const chat = state?.chats.get(message.chat_id);
  if (!state || !chat) return;
  const senderName = getAuthorName(message, state.users.get(message.sender_id ?? 0));
  const title = chat.type === 'single' ? senderName : `${senderName} · ${getChatTitle(state, chat)}`;
  const options = {
    body: getMessagePreview(message),
    // A push about the same chat takes its place.
    tag: `chat-${state.me.id}-${message.chat_id}`,
    icon: '/icon.svg',
    data: { navigate: `/chats/${message.chat_id}/${message.id}`, userId: state.me.id },
  };
  void showPersistentNotification(title, options).then((isShown) => {
    if (!isShown) showPageNotification(title, options, navigate);
  });
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
