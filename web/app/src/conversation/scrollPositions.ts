import type { VirtualItem } from '@tanstack/react-virtual';
import type { ChatStore } from '../store/chatStore';

/** The scroll position of a chat when the user left it. */
export interface ScrollPosition {
  /** The first visible message. */
  readonly messageId: number;
  /** Distance scrolled into the first visible message, in pixels. */
  readonly offsetInMessage: number;
  readonly scrollOffset: number;
  /** The measured rows. */
  readonly measurements: readonly VirtualItem[];
}

/** Scroll positions by chat. A chat left at its end has no entry. */
export const scrollPositions = new WeakMap<ChatStore, Map<number, ScrollPosition>>();
