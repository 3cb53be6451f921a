import { create } from 'zustand';
import { getErrorMessage } from './locales/errorMessage';
import type { Confirmation } from './ui/ConfirmDialog';

/** A layer above the screen. */
export type Modal =
  | { readonly kind: 'newChat' }
  | { readonly kind: 'browseChannels' }
  | { readonly kind: 'switcher' }
  | { readonly kind: 'settings' }
  | { readonly kind: 'shortcuts' }
  | { readonly kind: 'chatSettings'; readonly chatId: number }
  | { readonly kind: 'addMembers'; readonly chatId: number }
  | { readonly kind: 'editHistory'; readonly messageId: number }
  | ({ readonly kind: 'confirm' } & Confirmation);

/** What stands beside the timeline. */
export type Panel = 'members' | 'search' | 'pins' | 'debug';

/** How the screen is arranged. */
interface UiState {
  readonly modal: Modal | null;
  readonly panel: Panel | null;
  /** A sentence that comes and goes. */
  readonly toast: { readonly text: string; readonly id: number } | null;
  /** Counts the ways to messages, so that the same way can be gone twice. */
  readonly scrollRequestCount: number;
  requestScroll(): void;
  openModal(modal: Modal): void;
  closeModal(): void;
  togglePanel(panel: Panel): void;
  showToast(text: string): void;
  dismissToast(id: number): void;
}

/** Whether there is room for three panes. */
export const isWide = () => matchMedia('(min-width: 64rem)').matches;

/** How the screen is arranged. */
export const useUiStore = create<UiState>((set) => ({
  modal: null,
  panel: isWide() ? 'members' : null,
  toast: null,
  scrollRequestCount: 0,
  requestScroll: () => set((ui) => ({ scrollRequestCount: ui.scrollRequestCount + 1 })),
  openModal: (modal) => set({ modal }),
  closeModal: () => set({ modal: null }),
  togglePanel: (panel) => set((ui) => ({ panel: ui.panel === panel ? null : panel })),
  showToast: (text) => set((ui) => ({ toast: { text, id: (ui.toast?.id ?? 0) + 1 } })),
  dismissToast: (id) => set((ui) => (ui.toast?.id === id ? { toast: null } : {})),
}));

/** Does something, and says so if it fails. */
export async function withToast(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    useUiStore.getState().showToast(getErrorMessage(error));
  }
}
