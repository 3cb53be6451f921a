import { create } from 'zustand';
import type { IconName } from './Icon';

/** An action in a menu. */
export interface MenuAction {
  readonly key: string;
  readonly label: string;
  readonly icon?: IconName;
  /** The key that runs the action without the menu. */
  readonly shortcut?: string;
  readonly isDangerous?: boolean;
  readonly run: () => void;
}

/** An entry of a menu; null separates two groups. */
export type MenuEntry = MenuAction | null;

/** Where a popup opens: at an element, or at a point of the window. */
export type Anchor = Element | { readonly x: number; readonly y: number };

/** A popup that is not a modal dialog. One is open at a time. */
export type Popup = { readonly anchor: Anchor; readonly onClose?: () => void } & (
  | { readonly kind: 'menu'; readonly label: string; readonly entries: readonly MenuEntry[] }
  | { readonly kind: 'user'; readonly userId: number; readonly chatId: number | null }
  | { readonly kind: 'emoji'; readonly onPick: (emoji: string) => void }
);

/** The store of the open popup. */
export const usePopup = create<{ readonly popup: Popup | null }>(() => ({ popup: null }));

/** Opens a popup, and closes the open one. A second click on its button only closes it. */
export function openPopup(popup: Popup): void {
  const isOpen = popup.anchor instanceof Element && usePopup.getState().popup?.anchor === popup.anchor;
  closePopup();
  if (!isOpen) usePopup.setState({ popup });
}

/** Closes the open popup, if any. */
export function closePopup(): void {
  const { popup } = usePopup.getState();
  if (!popup) return;
  usePopup.setState({ popup: null });
  popup.onClose?.();
}
