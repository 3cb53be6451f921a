import type { ConnectionState } from './connection.js';
import type { Event } from './wire/types.gen.js';

/** What a tab asks of the one that has the stream. */
export type Request = { readonly kind: 'hello' } | { readonly kind: 'reconnect' };

/** Where the one that has the stream is. `by` names its term, in all that it says. */
export interface Whereabouts {
  readonly kind: 'state';
  readonly by: string;
  readonly state: ConnectionState;
  readonly retryAt: number | null;
  /** After the last event that it has told. */
  readonly cursor: string | null;
}

/** What the one that has the stream tells the others. */
export type Report =
  | Whereabouts
  | { readonly kind: 'event'; readonly by: string; readonly event: Event }
  | { readonly kind: 'resync'; readonly by: string; readonly reason: string; readonly cursor: string }
  | { readonly kind: 'error'; readonly by: string; readonly text: string };
