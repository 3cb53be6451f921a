import { deliverEvent, StreamError, type Transport } from './transport.js';
import type { Event, Ticket } from './wire/types.gen.js';

/** What an `EventSource` needs to be, so that one from elsewhere can be given. */
export type EventSourceConstructor = new (url: string) => EventSource;

/** An `EventSource` only tells of types that it was asked for; the compiler sees that none is missing. */
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
  'member.joined': true,
  'member.left': true,
  'member.updated': true,
  read_state: true,
  'user.updated': true,
  'session.revoked': true,
  typing: true,
  presence: true,
  ready: true,
  caught_up: true,
  reset: true,
} satisfies Record<Event['type'], true>);

/** It does not tell of the server's pings: while the browser calls it open, it is. In milliseconds. */
const POLL_INTERVAL_MS = 5_000;

/**
 * The platform's own `EventSource`, for where `fetch` cannot stream. It sends no
 * header, so a ticket goes in the address, good once; types of a newer server are
 * not heard.
 */
export function createEventSourceTransport(Source: EventSourceConstructor, fetcher: typeof fetch = fetch): Transport {
  return async (request) => {
    const { baseUrl, token, cursor, signal } = request;
    const init = { method: 'POST', headers: { authorization: `Bearer ${token}` }, signal };
    const response = await fetcher(`${baseUrl}/api/events/ticket`, init);
    if (response.status === 401) throw new StreamError('unauthorized', 'the server does not take this token');
    if (!response.ok) throw new StreamError('unavailable', `the server answered ${response.status}`);
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
        // It would come back by itself, with a ticket that is spent.
        source.onerror = () => reject(new StreamError('unavailable', 'the stream broke off'));
      });
    } finally {
      clearInterval(pollTimer);
      source.close();
    }
  };
}
