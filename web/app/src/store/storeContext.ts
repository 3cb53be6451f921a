import type { ChatClient } from '@confab/sdk';
import type { ChatState } from './chatState';

/** The part of the store that `UserCache`, `ReceiptTracker` and `MessageHistory` use. */
export interface StoreContext {
  readonly api: ChatClient['api'];
  /** Null until the bootstrap has loaded. */
  getState(): ChatState | null;
  /** Changes with each open and close, so that responses to earlier requests can be ignored. */
  getGeneration(): number;
  update(change: (state: ChatState) => ChatState): void;
  /** Applies the queued events, so that a response is merged into the current state. */
  flushEvents(): void;
}
