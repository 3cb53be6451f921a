import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { computeBackoff } from '../src/backoff.js';
import { Connection, type ConnectionState } from '../src/connection.js';
import { createChatClient, memoryStorage } from '../src/index.js';
import { SharedConnection } from '../src/sharedConnection.js';
import { createSseTransport } from '../src/sseTransport.js';
import type { Event } from '../src/wire/types.gen.js';
import { waitUntil } from './server.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that answers `/events` with a callback. */
async function startServer(
  respond: (response: ServerResponse, attempt: number, lastEventId: string | undefined) => void,
) {
  let requestCount = 0;
  const server = createServer((request, response) => {
    requestCount += 1;
    respond(response, requestCount, request.headers['last-event-id'] as string | undefined);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function createConnection(baseUrl: string, tokens: (string | null)[] = ['token']) {
  const received: string[] = [];
  const states: ConnectionState[] = [];
  const reasons: string[] = [];
  const connection = new Connection({
    baseUrl,
    transport: createSseTransport(),
    random: () => 0,
    getToken: async ({ reason }) => {
      reasons.push(reason);
      return (tokens.length > 1 ? tokens.shift() : tokens[0]) ?? null;
    },
  });
  const unreadable: string[] = [];
  connection.on('event', (event) => received.push('id' in event ? event.id : event.type));
  connection.on('state', ({ to }) => states.push(to));
  connection.on('error', ({ text }) => unreadable.push(text));
  return { connection, received, states, reasons, unreadable };
}

const userUpdatedFrame = (id: string) =>
  `id: ${id}\nevent: user.updated\ndata: ${JSON.stringify({ type: 'user.updated', id, at: 'now', user: {} } as unknown as Event)}\n\n`;
const readyFrame = (cursor: string) =>
  `event: ready\ndata: {"type":"ready","cursor":"${cursor}","resumed":false,"heartbeat_ms":15000,"user_id":1}\n\n`;

test.each([1, 2, 3, 7, 64])('a stream split into chunks of %i bytes parses the same', async (size) => {
  const text = `\uFEFFretry: 5\n\n${readyFrame('e-0')}: ping\n\n${userUpdatedFrame('e-1')}${userUpdatedFrame('e-2').replaceAll('\n', '\r')}${userUpdatedFrame('e-3').replaceAll('\n', '\r\n')}`;
  const url = await startServer(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size));
      if (at % (size * 16) === 0) await new Promise(setImmediate);
    }
  });
  const { connection, received } = createConnection(url);
  connection.open();
  await waitUntil('all are received', () => received.length === 3);
  expect(received).toEqual(['e-1', 'e-2', 'e-3']);
  connection.close();
});

test('it resumes from the last event id without duplicates', async () => {
  const lastEventIds: (string | undefined)[] = [];
  const url = await startServer((response, attempt, lastEventId) => {
    lastEventIds.push(lastEventId);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(
      attempt === 1
        ? readyFrame('e-0') + userUpdatedFrame('e-1') + userUpdatedFrame('e-2')
        : readyFrame('e-2') + userUpdatedFrame('e-2') + userUpdatedFrame('e-3'),
    );
    if (attempt < 3) response.end();
  });
  const { connection, received } = createConnection(url);
  connection.open();
  await waitUntil('it has reconnected twice', () => lastEventIds.length === 3);
  await waitUntil('all are received', () => received.includes('e-3'));
  expect(lastEventIds).toEqual([undefined, 'e-2', 'e-3']);
  expect(received).toEqual(['e-1', 'e-2', 'e-3']);
  connection.close();
});

test('a rejected token is refreshed once, then unauthorized', async () => {
  const url = await startServer((response) => response.writeHead(401).end());
  const { connection, states, reasons } = createConnection(url);
  connection.open();
  await waitUntil('it gives up', () => connection.state === 'unauthorized');
  expect(reasons).toEqual(['first', 'expired']);
  expect(states.at(-1)).toBe('unauthorized');
});

test('an unparsable event is reported and the stream continues', async () => {
  const url = await startServer((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`${readyFrame('e-0')}data: {broken\n\ndata: 7\n\n${userUpdatedFrame('e-1')}`);
  });
  const { connection, received, unreadable } = createConnection(url);
  connection.open();
  await waitUntil('the next event is received', () => received.length === 1);
  expect(unreadable).toEqual(['{broken', '7']);
  connection.close();
});

test('a throwing listener does not affect the others', async () => {
  const url = await startServer((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(readyFrame('e-0') + userUpdatedFrame('e-1'));
  });
  const caught: unknown[] = [];
  process.once('uncaughtException', (error) => caught.push(error));
  const { connection, received } = createConnection(url);
  const first: string[] = [];
  connection.on('event', () => first.push('received'));
  connection.open();
  await waitUntil('the event is received', () => received.length === 1);
  expect(first).toEqual(['received']);
  connection.close();
});

test('backoff grows to 30 seconds with full jitter', () => {
  expect(computeBackoff(0, () => 1)).toBe(500);
  expect(computeBackoff(3, () => 1)).toBe(4_000);
  expect(computeBackoff(50, () => 1)).toBe(30_000);
  expect(computeBackoff(50, () => 0)).toBe(0);
  const pauses = Array.from({ length: 1_000 }, () => computeBackoff(10));
  expect(Math.min(...pauses)).toBeLessThan(3_000);
  expect(Math.max(...pauses)).toBeGreaterThan(27_000);
});

test('a follower emits each event after its cursor exactly once', async () => {
  const event = (id: string) => ({ type: 'user.updated', id, at: 'now', user: {} }) as unknown as Event;
  const requestedCursors: string[] = [];
  const follower = new SharedConnection({
    baseUrl: '',
    getToken: async () => 'token',
    transport: () => new Promise(() => {}),
    name: 'a-leader-behind-and-ahead',
    locks: { request: () => new Promise(() => {}) },
    fetchEventsAfter: async (cursor) => {
      requestedCursors.push(cursor);
      return cursor === 'e-100'
        ? { events: ['e-101', 'e-102', 'e-103'].map(event), cursor: 'e-103', more: false }
        : { events: [], cursor, more: false };
    },
  });
  const received: string[] = [];
  follower.on('event', (one) => received.push('id' in one ? one.id : one.type));
  const leader = new BroadcastChannel('a-leader-behind-and-ahead');
  follower.open('e-100');
  // The leader was behind when this tab opened, and ahead before this tab had asked for its state.
  for (const id of ['e-51', 'e-100', 'e-103']) leader.postMessage({ kind: 'event', event: event(id) });
  leader.postMessage({ kind: 'state', state: 'live', retryAt: null, cursor: 'e-103' });
  leader.postMessage({ kind: 'event', event: event('e-104') });
  await waitUntil('all events are received', () => received.at(-1) === 'e-104');
  expect(received).toEqual(['e-101', 'e-102', 'e-103', 'e-104']);
  expect(requestedCursors[0]).toBe('e-100');
  // Closed and opened again, it still receives events.
  follower.close();
  follower.open('e-104');
  leader.postMessage({ kind: 'state', state: 'live', retryAt: null, cursor: 'e-104' });
  leader.postMessage({ kind: 'event', event: event('e-105') });
  await waitUntil('the next event is received', () => received.at(-1) === 'e-105');
  follower.close();
  leader.close();
});

test('two tabs keep their pending messages in shared storage', () => {
  const storage = memoryStorage();
  const openTab = () =>
    createChatClient({ baseUrl: 'http://127.0.0.1:9', getToken: async () => 'token', storage, shareConnection: false });
  const [one, other] = [openTab(), openTab()];
  void one.messages.send(1, { content: 'one' });
  void other.messages.send(1, { content: 'two' });
  one.close();
  other.close();
  expect(
    openTab()
      .messages.listPending()
      .map(({ draft }) => draft.content),
  ).toEqual(['one', 'two']);
});
