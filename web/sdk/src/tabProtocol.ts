import type { ConnectionState } from './connection.js';
import type { Event } from './wire/types.gen.js';

/** A request of a follower tab to the leader. */
export type FollowerRequest = { readonly kind: 'hello' } | { readonly kind: 'reconnect' };

/** The state of the leader. `termId` identifies its term in all its messages. */
export interface LeaderState {
  readonly kind: 'state';
  readonly termId: string;
  readonly state: ConnectionState;
  readonly retryAt: number | null;
  /** The position of the last event that it has broadcast. */
  readonly cursor: string | null;
}

/** A message of the leader to the follower tabs. */
export type LeaderMessage =
  | LeaderState
  | { readonly kind: 'event'; readonly termId: string; readonly event: Event }
  | { readonly kind: 'reset'; readonly termId: string; readonly reason: string; readonly cursor: string }
  | { readonly kind: 'error'; readonly termId: string; readonly text: string };
