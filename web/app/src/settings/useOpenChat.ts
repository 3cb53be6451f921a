import { useLocation } from 'wouter';
import { useChatStore } from '../store/hooks';
import { useUiStore } from '../uiStore';

/** Closes the settings and opens a chat that may be new. */
export function useOpenChat(): (chatId: number) => Promise<void> {
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  return async (chatId) => {
    await chatStore.ensureChat(chatId);
    closeModal();
    navigate(`/chats/${chatId}`);
  };
}
