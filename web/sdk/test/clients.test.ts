/** Clients of other authors, against the real server: they resume and see no event without data. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ChatClient, createChatClient, memoryStorage, Session } from '../src/index.js';
import { TestServer, waitUntil } from './server.js';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));

let server: TestServer;
let token: string;
let bob: ChatClient;
let chatId: number;

beforeAll(async () => {
  server = await TestServer.start();
  const signIn = async (name: string) => {
    const session = new Session(server.url, { storage: memoryStorage() });
    await session.signIn({ email: `${name}@example.com`, password: 'confab-demo' });
    return session;
  };
  token = (await (await signIn('alice')).getToken({ reason: 'first' })) ?? '';
  const { getToken } = await signIn('bob');
  bob = createChatClient({ baseUrl: server.url, getToken, storage: memoryStorage() });
  chatId = (await bob.api.chats.list()).find(({ type }) => type === 'group')?.id ?? 0;
}, 60_000);
afterAll(() => server.stop());

const authorization = () => ({ Authorization: `Bearer ${token}` });
const say = (content: string) => bob.messages.send(chatId, { content });

test('npm eventsource resumes after a crash of the server', async () => {
  const contents: string[] = [];
  const source = new EventSource(`${server.url}/events`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...authorization() } }),
  });
  let readyCount = 0;
  source.addEventListener('ready', () => {
    readyCount += 1;
  });
  source.addEventListener('message.new', ({ data }) => contents.push(JSON.parse(data).message.content));
  await waitUntil('the stream is ready', () => readyCount === 1);
  await say('one');
  await waitUntil('one arrived', () => contents.includes('one'));
  await server.kill();
  await server.launch();
  await say('two');
  await waitUntil('two arrived', () => contents.includes('two'));
  await say('three');
  await waitUntil('three arrived', () => contents.includes('three'));
  source.close();
  expect(contents).toEqual(['one', 'two', 'three']);
  expect(readyCount).toBeGreaterThan(1);
});

test('npm ws resumes where its last connection ended', async () => {
  const open = async (lastEventId: string) => {
    const query = lastEventId && `?last_event_id=${lastEventId}`;
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws${query}`, { headers: authorization() });
    const events: { type: string; id?: string; message?: { content: string } }[] = [];
    socket.on('message', (text) => events.push(JSON.parse(String(text))));
    await waitUntil('the socket is ready', () => events.some(({ type }) => type === 'ready'));
    return { socket, events };
  };
  const first = await open('');
  await say('four');
  await waitUntil('four arrived', () => first.events.some(({ message }) => message?.content === 'four'));
  const last = first.events.findLast(({ id }) => id)?.id ?? '';
  first.socket.close();
  await say('five');
  const second = await open(last);
  await waitUntil('five arrived', () => second.events.some(({ message }) => message?.content === 'five'));
  second.socket.close();
  expect(second.events.some(({ message }) => message?.content === 'four')).toBe(false);
});

interface PythonEvent {
  readonly type: string;
  readonly id: string | null;
  readonly data: { readonly message?: { readonly content: string } };
}

test.each(['httpx-sse', 'sseclient-py'])('PyPI %s resumes where its last connection ended', async (library) => {
  const open = (lastEventId: string) => {
    const script = fileURLToPath(new URL('clients.py', import.meta.url));
    const child = spawn(PYTHON, [script, library, `${server.url}/events`, token, lastEventId]);
    const events: PythonEvent[] = [];
    let failure = '';
    createInterface({ input: child.stdout }).on('line', (line) => events.push(JSON.parse(line)));
    child.stderr.on('data', (text) => {
      failure += text;
    });
    const waitFor = (what: string, condition: (event: PythonEvent) => boolean) =>
      waitUntil(what, () => {
        if (failure) throw new Error(failure);
        return events.some(condition);
      });
    return { child, events, waitFor };
  };
  const first = open('');
  await first.waitFor('the stream is ready', ({ type }) => type === 'ready');
  await say(`${library} one`);
  await first.waitFor('one arrived', ({ data }) => data.message?.content === `${library} one`);
  const last = first.events.at(-1)?.id ?? '';
  first.child.kill();
  await say(`${library} two`);
  const second = open(last);
  await second.waitFor('caught up', ({ type }) => type === 'caught_up');
  second.child.kill();
  const contents = second.events.map(({ data }) => data.message?.content).filter(Boolean);
  expect(contents).toEqual([`${library} two`]);
});
