import { createParser } from 'eventsource-parser';
import { deliverEvent, StreamError, type Transport } from './transport.js';

/** Server-Sent Events over `fetch`: a token in a header, and every byte seen. */
export function createSseTransport(fetcher: typeof fetch = fetch): Transport {
  return async (request) => {
    const headers: Record<string, string> = {
      accept: 'text/event-stream',
      authorization: `Bearer ${request.token}`,
    };
    if (request.cursor) headers['last-event-id'] = request.cursor;
    const { signal } = request;
    const response = await fetcher(`${request.baseUrl}/events`, { headers, signal, cache: 'no-store' });
    if (response.status === 401) throw new StreamError('unauthorized', 'the server does not take this token');
    if (!response.ok || !response.body) {
      throw new StreamError('unavailable', `the server answered ${response.status}`);
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
