import type { Event } from './wire/types.gen.js';

/** The parameters and callbacks of a stream. */
export interface StreamRequest {
  readonly baseUrl: string;
  readonly token: string;
  /** The cursor to resume from. */
  readonly cursor: string | null;
  /** Aborted to close the stream. */
  readonly signal: AbortSignal;
  /** Called when any data was received. */
  onActivity(): void;
  /** Called for each event, in order. */
  onEvent(event: Event): void;
  /** Called for a frame that cannot be parsed. */
  onUnreadable(text: string, error: unknown): void;
  /** Called with the delay before the next attempt, in milliseconds. */
  onRetry(ms: number): void;
}

/** A stream that failed to open or was interrupted. */
export class StreamError extends Error {
  override readonly name = 'StreamError';

  constructor(
    readonly reason: 'unauthorized' | 'unavailable',
    message: string,
  ) {
    super(message);
  }
}

/** Receives events. Resolves when the server closes the stream cleanly, and rejects otherwise. */
export type Transport = (request: StreamRequest) => Promise<void>;

/** Replies to WebSocket commands. They are not events. */
const REPLY_TYPES = new Set(['ack', 'error', 'pong']);

/** Parses a frame and delivers it as an event. */
export function deliverEvent(request: StreamRequest, text: string): void {
  let event: Event;
  try {
    event = JSON.parse(text) as Event;
    if (typeof event?.type !== 'string') throw new TypeError('an event must have a type');
  } catch (error) {
    request.onUnreadable(text, error);
    return;
  }
  if (!REPLY_TYPES.has(event.type)) request.onEvent(event);
}
