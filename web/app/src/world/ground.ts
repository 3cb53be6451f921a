import type { ChatClient } from '@confab/sdk';
import type { World } from './world';

/** What those stand on who read and change a part of the world. */
export interface Ground {
  readonly api: ChatClient['api'];
  /** Null until the first screen is there. */
  world(): World | null;
  /** Another one for each fresh first screen: what was asked before it is answered for nobody. */
  beginning(): number;
  update(change: (world: World) => World): void;
  /** Folds what was heard, so that an answer is put beside what is known now. */
  settle(): void;
}
