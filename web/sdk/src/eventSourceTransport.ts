import { deliverEvent, StreamError, type Transport } from './transport.js';
import type { Event, Ticket } from './wire/types.gen.js';

/** The constructor of an `EventSource` implementation. */
export type EventSourceConstructor = new (url: string) => EventSource;

/** An `EventSource` only delivers types with a listener. The compiler checks that none is missing. */
const EVENT_TYPES = Object.keys({
  'message.new': true,
  'message.updated': true,
  'message.deleted': true,
  'message.delivered': true,
  'message.read': true,
  'message.pinned': true,
  'message.unpinned': true,
  'reaction.added': true,
  'reaction.removed': true,
  'chat.new': true,
  'chat.added': true,
  'chat.updated': true,
  'chat.trimmed': true,
  'chat.deleted': true,
  'chat.removed': true,
  'chat.muted': true,
  'chat.notification_level': true,
  'notification_settings.updated': true,
  'member.joined': true,
  'member.left': true,
  'member.updated': true,
  read_state: true,
  'inbox.added': true,
  'inbox.removed': true,
  'inbox.seen': true,
  'message.saved': true,
  'message.unsaved': true,
  'user.blocked': true,
  'user.unblocked': true,
  'user.updated': true,
  'session.revoked': true,
  'webhook_endpoint.disabled': true,
  'message.relayed': true,
  'bridge.updated': true,
  typing: true,
  presence: true,
  ready: true,
  caught_up: true,
  reset: true,
} satisfies Record<Event['type'], true>);

/** Interval of the liveness check, in milliseconds. Pings are invisible, so an open `readyState` is activity. */
const POLL_INTERVAL_MS = 5_000;

/**
 * The platform's `EventSource`, for platforms whose `fetch` cannot stream. It cannot
 * set headers, so the URL carries a single-use ticket. Event types of a newer server
 * are not received.
 */
export function createEventSourceTransport(Source: EventSourceConstructor, fetcher: typeof fetch = fetch): Transport {
  return async (request) => {
    const { baseUrl, token, cursor, signal } = request;
    const init = { method: 'POST', headers: { authorization: `Bearer ${token}` }, signal };
    const response = await fetcher(`${baseUrl}/api/events/ticket`, init);
    if (response.status === 401) throw new StreamError('unauthorized', 'the server rejected the token');
    if (!response.ok) throw new StreamError('unavailable', `the server returned status ${response.status}`);
    const { ticket } = (await response.json()) as Ticket;
    const query = new URLSearchParams({ ticket, ...(cursor && { last_event_id: cursor }) });
    const source = new Source(`${baseUrl}/events?${query}`);
    const pollTimer = setInterval(() => source.readyState === 1 && request.onActivity(), POLL_INTERVAL_MS);
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) resolve();
        for (const type of EVENT_TYPES) {
          source.addEventListener(type, ({ data }) => {
            request.onActivity();
            deliverEvent(request, String(data));
          });
        }
        // The browser would reconnect by itself, with the used ticket.
        source.onerror = () => reject(new StreamError('unavailable', 'the stream was interrupted'));
      });
    } finally {
      clearInterval(pollTimer);
      source.close();
    }
  };
}
