import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { pauseAfter } from '../src/backoff.js';
import { Connection, type ConnectionState } from '../src/connection.js';
import { createChatClient, memoryStorage } from '../src/index.js';
import { SharedConnection } from '../src/shared.js';
import { sse } from '../src/sse.js';
import type { Event } from '../src/wire/types.gen.js';
import { until } from './server.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that answers `/events` as it is told, and remembers how it was asked. */
async function serving(answer: (response: ServerResponse, nth: number, lastEventId: string | undefined) => void) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    answer(response, asked, request.headers['last-event-id'] as string | undefined);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function listen(baseUrl: string, tokens: (string | null)[] = ['token']) {
  const heard: string[] = [];
  const states: ConnectionState[] = [];
  const reasons: string[] = [];
  const connection = new Connection({
    baseUrl,
    transport: sse(),
    random: () => 0,
    getToken: async ({ reason }) => {
      reasons.push(reason);
      return (tokens.length > 1 ? tokens.shift() : tokens[0]) ?? null;
    },
  });
  const unreadable: string[] = [];
  connection.on('event', (event) => heard.push('id' in event ? event.id : event.type));
  connection.on('state', ({ to }) => states.push(to));
  connection.on('error', ({ text }) => unreadable.push(text));
  return { connection, heard, states, reasons, unreadable };
}

const message = (id: string) =>
  `id: ${id}\nevent: user.updated\ndata: ${JSON.stringify({ type: 'user.updated', id, at: 'now', user: {} } as unknown as Event)}\n\n`;
const ready = (cursor: string) =>
  `event: ready\ndata: {"type":"ready","cursor":"${cursor}","resumed":false,"heartbeat_ms":15000,"user_id":1}\n\n`;

test.each([1, 2, 3, 7, 64])('a stream that comes in pieces of %i bytes is the same stream', async (size) => {
  const text = `\uFEFFretry: 5\n\n${ready('e-0')}: ping\n\n${message('e-1')}${message('e-2').replaceAll('\n', '\r')}${message('e-3').replaceAll('\n', '\r\n')}`;
  const url = await serving(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size));
      if (at % (size * 16) === 0) await new Promise(setImmediate);
    }
  });
  const { connection, heard } = listen(url);
  connection.open();
  await until('all are heard', () => heard.length === 3);
  expect(heard).toEqual(['e-1', 'e-2', 'e-3']);
  connection.close();
});

test('it goes on from the last id, and tells nothing twice', async () => {
  const froms: (string | undefined)[] = [];
  const url = await serving((response, nth, from) => {
    froms.push(from);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(
      nth === 1 ? ready('e-0') + message('e-1') + message('e-2') : ready('e-2') + message('e-2') + message('e-3'),
    );
    if (nth < 3) response.end();
  });
  const { connection, heard } = listen(url);
  connection.open();
  await until('it has come back twice', () => froms.length === 3);
  await until('all are heard', () => heard.includes('e-3'));
  expect(froms).toEqual([undefined, 'e-2', 'e-3']);
  expect(heard).toEqual(['e-1', 'e-2', 'e-3']);
  connection.close();
});

test('a refused token is renewed once, and a second refusal is the end', async () => {
  const url = await serving((response) => response.writeHead(401).end());
  const { connection, states, reasons } = listen(url);
  connection.open();
  await until('it gives up', () => connection.state === 'unauthorized');
  expect(reasons).toEqual(['first', 'expired']);
  expect(states.at(-1)).toBe('unauthorized');
});

test('one event that cannot be read is told, and the stream goes on', async () => {
  const url = await serving((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`${ready('e-0')}data: {broken\n\ndata: 7\n\n${message('e-1')}`);
  });
  const { connection, heard, unreadable } = listen(url);
  connection.open();
  await until('the next is heard', () => heard.length === 1);
  expect(unreadable).toEqual(['{broken', '7']);
  connection.close();
});

test('a listener that throws keeps nothing from the others', async () => {
  const url = await serving((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(ready('e-0') + message('e-1'));
  });
  const caught: unknown[] = [];
  process.once('uncaughtException', (error) => caught.push(error));
  const { connection, heard } = listen(url);
  const first: string[] = [];
  connection.on('event', () => first.push('told'));
  connection.open();
  await until('it is heard', () => heard.length === 1);
  expect(first).toEqual(['told']);
  connection.close();
});

test('pauses grow to half a minute and are spread over all that time', () => {
  expect(pauseAfter(0, () => 1)).toBe(500);
  expect(pauseAfter(3, () => 1)).toBe(4_000);
  expect(pauseAfter(50, () => 1)).toBe(30_000);
  expect(pauseAfter(50, () => 0)).toBe(0);
  const pauses = Array.from({ length: 1_000 }, () => pauseAfter(10));
  expect(Math.min(...pauses)).toBeLessThan(3_000);
  expect(Math.max(...pauses)).toBeGreaterThan(27_000);
});

test('a tab that follows tells what lies after its cursor, once, whatever its leader has told', async () => {
  const event = (id: string) => ({ type: 'user.updated', id, at: 'now', user: {} }) as unknown as Event;
  const asked: string[] = [];
  const following = new SharedConnection({
    baseUrl: '',
    getToken: async () => 'token',
    transport: () => new Promise(() => {}),
    name: 'a-leader-behind-and-ahead',
    locks: { request: () => new Promise(() => {}) },
    eventsAfter: async (cursor) => {
      asked.push(cursor);
      return cursor === 'e-100'
        ? { events: ['e-101', 'e-102', 'e-103'].map(event), cursor: 'e-103', more: false }
        : { events: [], cursor, more: false };
    },
  });
  const heard: string[] = [];
  following.on('event', (one) => heard.push('id' in one ? one.id : one.type));
  const leader = new BroadcastChannel('a-leader-behind-and-ahead');
  following.open('e-100');
  // It was behind when this tab came, and ahead before this tab had asked.
  for (const id of ['e-51', 'e-100', 'e-103']) leader.postMessage({ kind: 'event', event: event(id) });
  leader.postMessage({ kind: 'state', state: 'live', retryAt: null, cursor: 'e-103' });
  leader.postMessage({ kind: 'event', event: event('e-104') });
  await until('all is told', () => heard.at(-1) === 'e-104');
  expect(heard).toEqual(['e-101', 'e-102', 'e-103', 'e-104']);
  expect(asked[0]).toBe('e-100');
  // Closed and opened again, it hears as before.
  following.close();
  following.open('e-104');
  leader.postMessage({ kind: 'state', state: 'live', retryAt: null, cursor: 'e-104' });
  leader.postMessage({ kind: 'event', event: event('e-105') });
  await until('and goes on', () => heard.at(-1) === 'e-105');
  following.close();
  leader.close();
});

test('what two tabs have on their way is kept for both', () => {
  const storage = memoryStorage();
  const tab = () =>
    createChatClient({ baseUrl: 'http://127.0.0.1:9', getToken: async () => 'token', storage, shareConnection: false });
  const [one, other] = [tab(), tab()];
  void one.messages.send(1, { content: 'one' });
  void other.messages.send(1, { content: 'two' });
  one.close();
  other.close();
  expect(
    tab()
      .messages.pending()
      .map(({ draft }) => draft.content),
  ).toEqual(['one', 'two']);
});
