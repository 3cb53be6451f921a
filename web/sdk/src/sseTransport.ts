import { createParser } from 'eventsource-parser';
import { deliverEvent, StreamError, type Transport } from './transport.js';

/** Server-Sent Events over `fetch`: the token is a header, and pings count as activity. */
export function createSseTransport(fetcher: typeof fetch = fetch): Transport {
  return async (request) => {
    const headers: Record<string, string> = {
      accept: 'text/event-stream',
      authorization: `Bearer ${request.token}`,
    };
    if (request.cursor) headers['last-event-id'] = request.cursor;
    const { signal } = request;
    const response = await fetcher(`${request.baseUrl}/events`, { headers, signal, cache: 'no-store' });
    if (response.status === 401) throw new StreamError('unauthorized', 'the server rejected the token');
    if (!response.ok || !response.body) {
      throw new StreamError('unavailable', `the server returned status ${response.status}`);
    }
    const parser = createParser({
      onEvent: (message) => deliverEvent(request, message.data),
      onRetry: (ms) => request.onRetry(ms),
    });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    request.onActivity();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      request.onActivity();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  };
}
