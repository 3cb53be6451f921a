import type { ChatClient } from '@confab/sdk';
import type { ChatState } from './chatState';

/** What those stand on who read and change a part of the world. */
export interface StoreContext {
  readonly api: ChatClient['api'];
  /** Null until the first screen is there. */
  getState(): ChatState | null;
  /** Another one for each fresh first screen: what was asked before it is answered for nobody. */
  getGeneration(): number;
  update(change: (state: ChatState) => ChatState): void;
  /** Folds what was heard, so that an answer is put beside what is known now. */
  flushEvents(): void;
}
