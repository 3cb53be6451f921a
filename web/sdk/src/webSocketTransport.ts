import { deliverEvent, StreamError, type Transport } from './transport.js';

/** The constructor of a `WebSocket` implementation. */
export type WebSocketConstructor = new (url: string) => WebSocket;

const UNAUTHORIZED = 4001;
const SESSION_REVOKED = 4002;
const TOO_MANY_CONNECTIONS = 4008;

/** Delay after the server has closed the connection because there are too many, in milliseconds. */
const TOO_MANY_CONNECTIONS_DELAY_MS = 60_000;

/** WebSocket. The token is sent in the first message, so that no URL contains it. */
export function createWebSocketTransport(Socket: WebSocketConstructor): Transport {
  return (request) =>
    new Promise((resolve, reject) => {
      if (request.signal.aborted) return resolve();
      const socket = new Socket(`${request.baseUrl.replace(/^http/, 'ws')}/ws`);
      const closeSocket = () => socket.close();
      request.signal.addEventListener('abort', closeSocket);
      socket.onopen = () => {
        request.onActivity();
        const auth = { type: 'auth', token: request.token, ...(request.cursor && { last_event_id: request.cursor }) };
        socket.send(JSON.stringify(auth));
      };
      socket.onmessage = ({ data }) => {
        request.onActivity();
        deliverEvent(request, String(data));
      };
      socket.onclose = ({ code, reason }) => {
        request.signal.removeEventListener('abort', closeSocket);
        if (code === UNAUTHORIZED || code === SESSION_REVOKED) {
          return reject(new StreamError('unauthorized', reason));
        }
        if (code === TOO_MANY_CONNECTIONS) request.onRetry(TOO_MANY_CONNECTIONS_DELAY_MS);
        if (code === 1001 || code === TOO_MANY_CONNECTIONS || request.signal.aborted) return resolve();
        reject(new StreamError('unavailable', reason || `the connection was closed (${code})`));
      };
    });
}
