import type { VirtualItem } from '@tanstack/react-virtual';
import type { ChatStore } from '../store/chatStore';

/** Where somebody was in a chat when they left it. */
export interface ScrollPosition {
  /** The first message that was seen. */
  readonly messageId: number;
  /** How far into it, in pixels. */
  readonly offsetInMessage: number;
  readonly scrollOffset: number;
  /** How tall the rows were. */
  readonly measurements: readonly VirtualItem[];
}

/** By chat; who was at the end comes back to the end. */
export const scrollPositions = new WeakMap<ChatStore, Map<number, ScrollPosition>>();
