import type { Event } from './wire/types.gen.js';

/** What a transport is given to open a stream. */
export interface StreamRequest {
  readonly baseUrl: string;
  readonly token: string;
  /** Where to go on from. */
  readonly cursor: string | null;
  /** Aborted to hang up. */
  readonly signal: AbortSignal;
  /** Something was received, whatever it was. */
  onActivity(): void;
  /** An event, in order. */
  onEvent(event: Event): void;
  /** One that cannot be read. */
  onUnreadable(text: string, error: unknown): void;
  /** How long to wait before the next stream, in milliseconds. */
  onRetry(ms: number): void;
}

/** Why a stream did not open, or ended. */
export class StreamError extends Error {
  override readonly name = 'StreamError';

  constructor(
    readonly reason: 'unauthorized' | 'unavailable',
    message: string,
  ) {
    super(message);
  }
}

/** A way to hear events. Resolves when the server ends the stream in order, and throws otherwise. */
export type Transport = (request: StreamRequest) => Promise<void>;

/** Answers to what a client says on a WebSocket; they are no events. */
const REPLY_TYPES = new Set(['ack', 'error', 'pong']);

/** Reads one JSON object as an event. */
export function deliverEvent(request: StreamRequest, text: string): void {
  let event: Event;
  try {
    event = JSON.parse(text) as Event;
    if (typeof event?.type !== 'string') throw new TypeError('an event has a type');
  } catch (error) {
    request.onUnreadable(text, error);
    return;
  }
  if (!REPLY_TYPES.has(event.type)) request.onEvent(event);
}
