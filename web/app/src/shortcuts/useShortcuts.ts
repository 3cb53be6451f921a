import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { focusComposer } from '../conversation/textarea';
import { isWide } from '../layout';
import { closePanel, togglePanel, usePanel } from '../panels';
import { getOrderedChats } from '../sidebar/chatOrder';
import { parseChatId, useChatStore } from '../store/hooks';
import { useUiStore } from '../uiStore';

/** Elements that handle typed keys themselves. */
const KEY_TARGETS = 'input, textarea, select, [contenteditable], [role=dialog], [role=menu], [role=listbox]';

/** Whether the key types text while no text field has the focus. */
function isTyping({ key, ctrlKey, metaKey, altKey, isComposing, target }: KeyboardEvent): boolean {
  const isText = [...key].length === 1 || key === 'Process' || key === 'Dead' || isComposing;
  if (!isText || ctrlKey || metaKey || altKey) return false;
  const element = target as HTMLElement;
  const isButton = element.matches('button, a, summary, [role=button]');
  return !(key === ' ' && (isButton || element.matches('[role=log], article'))) && !element.closest(KEY_TARGETS);
}

/** The global keyboard shortcuts. */
export function useShortcuts() {
  const chatStore = useChatStore();
  const [path, navigate] = useLocation();
  useEffect(() => {
    const switchChat = (step: number) => {
      const chats = chatStore.state ? getOrderedChats(chatStore.state, parseChatId(path)) : [];
      const currentIndex = chats.findIndex(({ id }) => id === parseChatId(path));
      const next = chats[(currentIndex + step + chats.length) % chats.length];
      if (next) navigate(`/chats/${next.id}`);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      const { openModal, modal } = useUiStore.getState();
      const { panel } = usePanel.getState();
      if (!modal && !event.defaultPrevented && isTyping(event)) focusComposer();
      const isCommand = event.ctrlKey || event.metaKey;
      if (isCommand && event.key.toLowerCase() === 'k') openModal({ kind: 'switcher' });
      else if (isCommand && event.key === '/') openModal({ kind: 'shortcuts' });
      else if (isCommand && event.shiftKey && event.key.toLowerCase() === 'f') togglePanel('search');
      else if (event.altKey && event.key === 'ArrowUp') switchChat(-1);
      else if (event.altKey && event.key === 'ArrowDown') switchChat(1);
      else if (event.key === 'Escape' && panel && !modal && !isWide() && !event.defaultPrevented) closePanel();
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, [chatStore, path, navigate]);
}
