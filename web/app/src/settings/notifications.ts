import type { Message } from '@confab/sdk';
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { kept } from '../kept';
import type { House } from '../world/house';
import { lineOf, nameOf, titleOf, useHouse } from '../world/use';

const KEY = 'confab.notify';

/** When any tab last had the focus, in milliseconds since 1970. */
const LOOKED = 'confab.looked';

/** A tab that is looked at says so this often, in milliseconds. */
const LOOK_EVERY_MS = 2_000;

/** Whether this device may be disturbed. */
export function wantsNotifications(): boolean {
  return kept.getItem(KEY) === 'true' && 'Notification' in globalThis && Notification.permission === 'granted';
}

/** Asks the browser; answers whether it agrees. */
export async function turnNotifications(isOn: boolean): Promise<boolean> {
  const agrees = isOn && 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  kept.setItem(KEY, String(agrees));
  return agrees;
}

/** Tells the desktop of what calls me while I look elsewhere. */
export function useNotifications() {
  const house = useHouse();
  const [, go] = useLocation();
  useEffect(() => {
    const look = () => document.hasFocus() && kept.setItem(LOOKED, String(Date.now()));
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  useEffect(
    () =>
      house.client.on('message.new', ({ message }) => {
        // What is caught up on is no news, and of several tabs one tells.
        const isNews = house.client.state === 'live' && house.client.leads;
        if (isNews && callsMe(house, message) && !isLookedAt() && wantsNotifications()) notify(house, message, go);
      }),
    [house, go],
  );
}

function isLookedAt(): boolean {
  return document.hasFocus() || Date.now() - Number(kept.getItem(LOOKED) ?? 0) < 2 * LOOK_EVERY_MS;
}

function callsMe({ world }: House, message: Message): boolean {
  const row = world?.chats.get(message.chat_id);
  if (!world || !row || row.is_muted || message.sender_id === world.me.id) return false;
  return row.type === 'single' || message.mentions_everyone || message.mentions.includes(world.me.id);
}

function notify({ world }: House, message: Message, go: (path: string) => void): void {
  const row = world?.chats.get(message.chat_id);
  if (!world || !row) return;
  const from = nameOf(world.people.get(message.sender_id ?? 0));
  const title = row.type === 'single' ? from : `${from} · ${titleOf(world, row)}`;
  try {
    const shown = new Notification(title, { body: lineOf(message), tag: `confab-${message.id}`, icon: '/icon.svg' });
    shown.onclick = () => {
      focus();
      go(`/chats/${message.chat_id}/${message.id}`);
      shown.close();
    };
  } catch {
    // Some phones have the word and not the thing.
  }
}
