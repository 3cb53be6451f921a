import type { Message } from '@confab/sdk';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { deviceStorage } from '../storage';
import type { ChatStore } from '../store/chatStore';
import { getChatTitle, getDisplayName, getMessagePreview, useChatStore } from '../store/hooks';

const STORAGE_KEY = 'confab.notify';

/** When any tab last had the focus, in milliseconds since 1970. */
const LAST_FOCUSED_KEY = 'confab.looked';

/** A tab that is looked at says so this often, in milliseconds. */
const FOCUS_INTERVAL_MS = 2_000;

/** Whether this device may be disturbed. */
export function areNotificationsEnabled(): boolean {
  return (
    deviceStorage.getItem(STORAGE_KEY) === 'true' &&
    'Notification' in globalThis &&
    Notification.permission === 'granted'
  );
}

/** Asks the browser; answers whether it agrees. */
export async function setNotificationsEnabled(isEnabled: boolean): Promise<boolean> {
  const isGranted = isEnabled && 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  deviceStorage.setItem(STORAGE_KEY, String(isGranted));
  return isGranted;
}

/** Tells the desktop of what calls me while I look elsewhere. */
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
        // What is caught up on is no news, and of several tabs one tells.
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
  if (!state || !chat || chat.is_muted || message.sender_id === state.me.id) return false;
  return chat.type === 'single' || message.mentions_everyone || message.mentions.includes(state.me.id);
}

function showNotification({ state }: ChatStore, message: Message, navigate: (path: string) => void): void {
  const chat = state?.chats.get(message.chat_id);
  if (!state || !chat) return;
  const senderName = getDisplayName(state.users.get(message.sender_id ?? 0));
  const title = chat.type === 'single' ? senderName : `${senderName} · ${getChatTitle(state, chat)}`;
  try {
    const notification = new Notification(title, {
      body: getMessagePreview(message),
      tag: `confab-${message.id}`,
      icon: '/icon.svg',
    });
    notification.onclick = () => {
      focus();
      navigate(`/chats/${message.chat_id}/${message.id}`);
      notification.close();
    };
  } catch {
    // Some phones have the word and not the thing.
  }
}
