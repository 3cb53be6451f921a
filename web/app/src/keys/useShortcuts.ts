import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { chatsInOrder } from '../chats/order';
import { isWide, useView } from '../view';
import { chatIdOf, useHouse } from '../world/use';

/** The keys that work everywhere. */
export function useShortcuts() {
  const house = useHouse();
  const [path, go] = useLocation();
  useEffect(() => {
    const walk = (step: number) => {
      const rows = house.world ? chatsInOrder(house.world) : [];
      const at = rows.findIndex(({ id }) => id === chatIdOf(path));
      const next = rows[(at + step + rows.length) % rows.length];
      if (next) go(`/chats/${next.id}`);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      const { open, toggle, panel, layer } = useView.getState();
      const isCommand = event.ctrlKey || event.metaKey;
      if (isCommand && event.key.toLowerCase() === 'k') open({ kind: 'switcher' });
      else if (isCommand && event.key === '/') open({ kind: 'shortcuts' });
      else if (isCommand && event.shiftKey && event.key.toLowerCase() === 'f') toggle('search');
      else if (event.altKey && event.key === 'ArrowUp') walk(-1);
      else if (event.altKey && event.key === 'ArrowDown') walk(1);
      else if (event.key === 'Escape' && panel && !layer && !isWide() && !event.defaultPrevented) toggle(panel);
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, [house, path, go]);
}
