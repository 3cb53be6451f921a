import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { lineOf, nameOf, titleOf, useHouse } from '../world/use';

const KEY = 'confab.notify';

/** Whether this device may be disturbed. */
export function wantsNotifications(): boolean {
  return localStorage.getItem(KEY) === 'true' && 'Notification' in globalThis && Notification.permission === 'granted';
}

/** Asks the browser; answers whether it agrees. */
export async function turnNotifications(isOn: boolean): Promise<boolean> {
  const agrees = isOn && 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  localStorage.setItem(KEY, String(agrees));
  return agrees;
}

/** Tells the desktop of what calls me while I look elsewhere. */
export function useNotifications() {
  const house = useHouse();
  const [, go] = useLocation();
  useEffect(
    () =>
      house.client.on('message.new', ({ message }) => {
        const { world } = house;
        const row = world?.chats.get(message.chat_id);
        if (!world || !row || row.is_muted || message.sender_id === world.me.id) return;
        const callsMe = row.type === 'single' || message.mentions_everyone || message.mentions.includes(world.me.id);
        if (!callsMe || document.hasFocus() || !wantsNotifications()) return;
        const from = nameOf(world.people.get(message.sender_id ?? 0));
        const title = row.type === 'single' ? from : `${from} · ${titleOf(world, row)}`;
        // One for all tabs: the same tag replaces it.
        const shown = new Notification(title, {
          body: lineOf(message),
          tag: `confab-${message.id}`,
          icon: '/icon.svg',
        });
        shown.onclick = () => {
          focus();
          go(`/chats/${message.chat_id}/${message.id}`);
          shown.close();
        };
      }),
    [house, go],
  );
}
