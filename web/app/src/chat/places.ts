import type { VirtualItem } from '@tanstack/react-virtual';
import type { House } from '../world/house';

/** Where somebody was in a chat when they left it. */
interface Place {
  /** The first message that was seen. */
  readonly messageId: number;
  /** How far into it, in pixels. */
  readonly into: number;
  readonly offset: number;
  /** How tall the rows were. */
  readonly sizes: readonly VirtualItem[];
}

/** By chat; who was at the end comes back to the end. */
export const places = new WeakMap<House, Map<number, Place>>();
