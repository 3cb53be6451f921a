import type { Message, UserAccount } from '@confab/sdk';
import { create } from 'zustand';
import type { Confirmation } from './ConfirmDialog';

/** A modal dialog. */
export type Modal =
  | { readonly kind: 'newChat' }
  | { readonly kind: 'browseChannels' }
  | { readonly kind: 'switcher' }
  | { readonly kind: 'drafts' }
  | { readonly kind: 'settings' }
  | { readonly kind: 'status' }
  | { readonly kind: 'shortcuts' }
  | { readonly kind: 'chatSettings'; readonly chatId: number }
  | { readonly kind: 'addMembers'; readonly chatId: number }
  | { readonly kind: 'editHistory'; readonly messageId: number }
  | { readonly kind: 'reactions'; readonly message: Message; readonly emoji: string }
  | { readonly kind: 'forward'; readonly message: Message }
  | { readonly kind: 'dateJump'; readonly chatId: number; readonly onJump: (messageId: number) => void }
  | { readonly kind: 'suspendUser'; readonly user: UserAccount; readonly onDone: () => void }
  | ({ readonly kind: 'confirm' } & Confirmation);

/** The state of the layout. */
interface UiState {
  readonly modal: Modal | null;
  /** Counts scroll requests, so that a repeated request for the same message scrolls again. */
  readonly scrollRequestCount: number;
  requestScroll(): void;
  openModal(modal: Modal): void;
  closeModal(): void;
}

/** The store of the layout state. */
export const useUiStore = create<UiState>((set) => ({
  modal: null,
  scrollRequestCount: 0,
  requestScroll: () => set((ui) => ({ scrollRequestCount: ui.scrollRequestCount + 1 })),
  openModal: (modal) => set({ modal }),
  closeModal: () => set({ modal: null }),
}));
