import type { UserAccount } from '@confab/sdk';
import { create } from 'zustand';
import type { Confirmation } from './ConfirmDialog';

/** A modal dialog. */
export type Modal =
  | { readonly kind: 'newChat' }
  | { readonly kind: 'browseChannels' }
  | { readonly kind: 'switcher' }
  | { readonly kind: 'settings' }
  | { readonly kind: 'shortcuts' }
  | { readonly kind: 'chatSettings'; readonly chatId: number }
  | { readonly kind: 'addMembers'; readonly chatId: number }
  | { readonly kind: 'editHistory'; readonly messageId: number }
  | { readonly kind: 'suspendUser'; readonly user: UserAccount; readonly onDone: () => void }
  | ({ readonly kind: 'confirm' } & Confirmation);

/** A side panel next to the timeline. */
export type Panel = 'members' | 'search' | 'pins' | 'debug';

/** The state of the layout. */
interface UiState {
  readonly modal: Modal | null;
  readonly panel: Panel | null;
  /** Counts scroll requests, so that a repeated request for the same message scrolls again. */
  readonly scrollRequestCount: number;
  requestScroll(): void;
  openModal(modal: Modal): void;
  closeModal(): void;
  togglePanel(panel: Panel): void;
}

/** Whether the window fits three panes. */
export const isWide = () => matchMedia('(min-width: 64rem)').matches;

/** The store of the layout state. */
export const useUiStore = create<UiState>((set) => ({
  modal: null,
  panel: isWide() ? 'members' : null,
  scrollRequestCount: 0,
  requestScroll: () => set((ui) => ({ scrollRequestCount: ui.scrollRequestCount + 1 })),
  openModal: (modal) => set({ modal }),
  closeModal: () => set({ modal: null }),
  togglePanel: (panel) => set((ui) => ({ panel: ui.panel === panel ? null : panel })),
}));
