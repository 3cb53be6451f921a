import { deliver, StreamRefused, type Transport } from './transport.js';

/** What a WebSocket needs to be, so that one from elsewhere can be given. */
export type SocketClass = new (url: string) => WebSocket;

const UNAUTHORIZED = 4001;
const SESSION_REVOKED = 4002;
const TOO_MANY = 4008;

/** How long to wait where one is one of too many, in milliseconds. */
const TOO_MANY_PAUSE_MS = 60_000;

/** WebSocket: the token goes in the first message, so that no address holds it. */
export function webSocket(Socket: SocketClass): Transport {
  return (request) =>
    new Promise((resolve, reject) => {
      if (request.signal.aborted) return resolve();
      const socket = new Socket(`${request.baseUrl.replace(/^http/, 'ws')}/ws`);
      const hangUp = () => socket.close();
      request.signal.addEventListener('abort', hangUp);
      socket.onopen = () => {
        request.onActivity();
        const auth = { type: 'auth', token: request.token, ...(request.cursor && { last_event_id: request.cursor }) };
        socket.send(JSON.stringify(auth));
      };
      socket.onmessage = ({ data }) => {
        request.onActivity();
        deliver(request, String(data));
      };
      socket.onclose = ({ code, reason }) => {
        request.signal.removeEventListener('abort', hangUp);
        if (code === UNAUTHORIZED || code === SESSION_REVOKED) {
          return reject(new StreamRefused('unauthorized', reason));
        }
        if (code === TOO_MANY) request.onRetry(TOO_MANY_PAUSE_MS);
        if (code === 1001 || code === TOO_MANY || request.signal.aborted) return resolve();
        reject(new StreamRefused('unavailable', reason || `the connection was closed (${code})`));
      };
    });
}
