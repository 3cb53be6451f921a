import type { ConnectionState } from './connection.js';
import type { Event } from './wire/types.gen.js';

/** What a tab asks of the one that has the stream. */
export type FollowerRequest = { readonly kind: 'hello' } | { readonly kind: 'reconnect' };

/** Where the one that has the stream is. `by` names its term, in all that it says. */
export interface LeaderState {
  readonly kind: 'state';
  readonly termId: string;
  readonly state: ConnectionState;
  readonly retryAt: number | null;
  /** After the last event that it has told. */
  readonly cursor: string | null;
}

/** What the one that has the stream tells the others. */
export type LeaderMessage =
  | LeaderState
  | { readonly kind: 'event'; readonly termId: string; readonly event: Event }
  | { readonly kind: 'reset'; readonly termId: string; readonly reason: string; readonly cursor: string }
  | { readonly kind: 'error'; readonly termId: string; readonly text: string };
