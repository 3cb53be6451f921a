import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { getOrderedChats } from '../sidebar/chatOrder';
import { parseChatId, useChatStore } from '../store/hooks';
import { isWide, useUiStore } from '../uiStore';

/** The global keyboard shortcuts. */
export function useShortcuts() {
  const chatStore = useChatStore();
  const [path, navigate] = useLocation();
  useEffect(() => {
    const switchChat = (step: number) => {
      const chats = chatStore.state ? getOrderedChats(chatStore.state) : [];
      const currentIndex = chats.findIndex(({ id }) => id === parseChatId(path));
      const next = chats[(currentIndex + step + chats.length) % chats.length];
      if (next) navigate(`/chats/${next.id}`);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      const { openModal, togglePanel, panel, modal } = useUiStore.getState();
      const isCommand = event.ctrlKey || event.metaKey;
      if (isCommand && event.key.toLowerCase() === 'k') openModal({ kind: 'switcher' });
      else if (isCommand && event.key === '/') openModal({ kind: 'shortcuts' });
      else if (isCommand && event.shiftKey && event.key.toLowerCase() === 'f') togglePanel('search');
      else if (event.altKey && event.key === 'ArrowUp') switchChat(-1);
      else if (event.altKey && event.key === 'ArrowDown') switchChat(1);
      else if (event.key === 'Escape' && panel && !modal && !isWide() && !event.defaultPrevented) togglePanel(panel);
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, [chatStore, path, navigate]);
}
