import { deliverEvent, StreamError, type Transport } from './transport.js';

/** What a WebSocket needs to be, so that one from elsewhere can be given. */
export type WebSocketConstructor = new (url: string) => WebSocket;

const UNAUTHORIZED = 4001;
const SESSION_REVOKED = 4002;
const TOO_MANY_CONNECTIONS = 4008;

/** How long to wait where one is one of too many, in milliseconds. */
const TOO_MANY_CONNECTIONS_DELAY_MS = 60_000;

/** WebSocket: the token goes in the first message, so that no address holds it. */
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
