import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  ApiError,
  type ChatClient,
  type ChatClientOptions,
  createChatClient,
  type Event,
  memoryStorage,
  Session,
  type Storage,
} from '../src/index.js';
import { TestLocks } from './locks.js';
import { TestServer, waitUntil } from './server.js';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
}, 60_000);
afterAll(() => server.stop());

/** A demo user with a client. */
class TestUser {
  readonly received: Event[] = [];

  private constructor(
    readonly session: Session,
    readonly client: ChatClient,
    readonly storage: Storage,
  ) {
    client.on('*', (event) => this.received.push(event));
  }

  static async signIn(name: string, options: Partial<ChatClientOptions> = {}): Promise<TestUser> {
    const storage = memoryStorage();
    const session = new Session(server.url, { storage });
    await session.signIn({ email: `${name}@example.com`, password: 'confab-demo' });
    const { getToken } = session;
    const client = createChatClient({ baseUrl: server.url, getToken, storage: memoryStorage(), ...options });
    return new TestUser(session, client, storage);
  }

  async findChatId(name: string): Promise<number> {
    const chat = (await this.client.api.chats.list()).find((one) => one.name === name);
    if (!chat) throw new Error(`no chat ${name}`);
    return chat.id;
  }

  texts(): string[] {
    return this.received.flatMap((event) => (event.type === 'message.new' ? [event.message.content] : []));
  }
}

const Socket = WebSocket as unknown as typeof globalThis.WebSocket;

describe.each(['sse', 'websocket'] as const)('over %s', (transport) => {
  const options: Partial<ChatClientOptions> = { transport, WebSocket: Socket };

  test('two users chat, and events are emitted by type', async () => {
    const alice = await TestUser.signIn('alice', options);
    const bob = await TestUser.signIn('bob', options);
    const team = await alice.findChatId('team');
    const { cursor } = await bob.client.api.bootstrap();
    const reactions: string[] = [];
    bob.client.on('reaction.added', ({ emoji }) => reactions.push(emoji));
    await bob.client.connect(cursor);
    const sent = await alice.client.messages.send(team, { content: `hello over ${transport}` });
    await waitUntil('bob receives it', () => bob.texts().includes(`hello over ${transport}`));
    await alice.client.messages.react(sent.id, '👍');
    await waitUntil('bob sees it', () => reactions.length > 0);
    expect(reactions).toEqual(['👍']);
    alice.client.close();
    bob.client.close();
    expect(bob.client.state).toBe('closed');
  });

  test('missed events arrive once and in order after a reconnect', async () => {
    const alice = await TestUser.signIn('alice', options);
    const bob = await TestUser.signIn('bob', options);
    const team = await alice.findChatId('team');
    await bob.client.connect((await bob.client.api.bootstrap()).cursor);
    for (let n = 0; n < 30; n += 1) {
      await alice.client.messages.send(team, { content: `${transport} ${n}` });
      if (n % 10 === 5) bob.client.reconnect();
    }
    await waitUntil('bob has received the last', () => bob.texts().includes(`${transport} 29`));
    expect(bob.texts()).toEqual(Array.from({ length: 30 }, (_, n) => `${transport} ${n}`));
    bob.client.close();
  });

  test('a revoked session becomes unauthorized and stops retrying', async () => {
    const bob = await TestUser.signIn('bob', options);
    await bob.client.connect();
    await bob.client.api.me.get();
    await bob.session.signOut();
    await waitUntil('bob is unauthorized', () => bob.client.state === 'unauthorized');
    await expect(bob.client.api.me.get()).rejects.toBeInstanceOf(ApiError);
  });
});

test('no message is lost when the server is killed and restarted', async () => {
  const alice = await TestUser.signIn('alice');
  const bob = await TestUser.signIn('bob');
  const team = await alice.findChatId('team');
  await bob.client.connect((await bob.client.api.bootstrap()).cursor);
  await alice.client.connect();
  const sending: Promise<unknown>[] = [];
  for (let n = 0; n < 40; n += 1) {
    sending.push(alice.client.messages.send(team, { content: `kept ${n}` }));
    if (n === 20) await server.kill();
  }
  expect(alice.client.messages.listPending(team).length).toBeGreaterThan(0);
  await server.launch();
  await Promise.all(sending);
  await waitUntil('bob has received the last', () => bob.texts().includes('kept 39'), 40_000);
  expect(bob.texts()).toEqual(Array.from({ length: 40 }, (_, n) => `kept ${n}`));
  expect(alice.client.messages.listPending()).toEqual([]);
  alice.client.close();
  bob.client.close();
}, 90_000);

test('a lost response is retried and the message is stored once', async () => {
  let lost = 0;
  const lossyFetch: typeof fetch = async (url, init) => {
    const response = await fetch(url, init);
    if (init?.method === 'POST' && String(url).endsWith('/messages') && lost < 3) {
      lost += 1;
      throw new TypeError('the connection broke');
    }
    return response;
  };
  const alice = await TestUser.signIn('alice', { fetch: lossyFetch });
  const team = await alice.findChatId('team');
  await alice.client.messages.send(team, { content: 'said once' });
  expect(lost).toBe(3);
  const { items } = await alice.client.messages.list(team, { limit: 10 });
  expect(items.filter(({ content }) => content === 'said once')).toHaveLength(1);
});

test('pending messages of a closed page are sent once by the next', async () => {
  const storage = memoryStorage();
  const offlineClient = createChatClient({
    baseUrl: 'http://127.0.0.1:9',
    getToken: async () => 'any',
    storage,
    userId: 'alice',
  });
  const alice = await TestUser.signIn('alice', { storage, userId: 'alice' });
  const team = await alice.findChatId('team');
  void offlineClient.messages.send(team, { content: 'written before the page went' });
  offlineClient.close();
  const { getToken } = alice.session;
  const nextClient = createChatClient({ baseUrl: server.url, getToken, storage, userId: 'alice' });
  expect(nextClient.messages.listPending(team)).toHaveLength(1);
  await nextClient.connect();
  await waitUntil('it is sent', () => nextClient.messages.listPending().length === 0);
  const { items } = await nextClient.messages.list(team, { limit: 5 });
  expect(items.filter(({ content }) => content === 'written before the page went')).toHaveLength(1);
  nextClient.close();
});

test('a message that one tab discards is not sent by another that has loaded it', async () => {
  const storage = memoryStorage();
  const options = { getToken: async () => 'any', storage, userId: 'alice', shareConnection: false } as const;
  const alice = await TestUser.signIn('alice', { storage, userId: 'alice' });
  const team = await alice.findChatId('team');
  const firstTab = createChatClient({ ...options, baseUrl: 'http://127.0.0.1:9' });
  void firstTab.messages.send(team, { content: 'discarded in the first tab' });
  void firstTab.messages.send(team, { content: 'kept in the first tab' });
  const secondTab = createChatClient({ ...options, baseUrl: server.url, getToken: alice.session.getToken });
  expect(secondTab.messages.listPending(team)).toHaveLength(2);
  const dropped: string[] = [];
  secondTab.on('dropped', ({ nonce }) => dropped.push(nonce));
  const [discarded] = firstTab.messages.listPending(team);
  firstTab.messages.drop(discarded?.nonce ?? '');
  firstTab.close();
  await secondTab.connect();
  await waitUntil('the kept message is sent', () => secondTab.messages.listPending().length === 0);
  expect(dropped).toEqual([discarded?.nonce]);
  const { items } = await secondTab.messages.list(team, { limit: 5 });
  const contents = items.map(({ content }) => content).filter((content) => content.endsWith('the first tab'));
  expect(contents).toEqual(['kept in the first tab']);
  secondTab.close();
});

test('a rejected message fails with its error and blocks nothing', async () => {
  const alice = await TestUser.signIn('alice');
  const team = await alice.findChatId('team');
  const failed: string[] = [];
  alice.client.on('pending', ({ status, error }) => status === 'failed' && failed.push(error ?? ''));
  await expect(alice.client.messages.send(team, { content: ' ' })).rejects.toBeInstanceOf(ApiError);
  expect(failed).toEqual(['a message must have text or files']);
  const [pending] = alice.client.messages.listPending(team);
  await alice.client.messages.send(team, { content: 'after it' });
  alice.client.messages.drop(pending?.nonce ?? '');
  expect(alice.client.messages.listPending()).toEqual([]);
});

test('concurrent requests refresh a rejected token once', async () => {
  const alice = await TestUser.signIn('alice');
  const stored = JSON.parse(alice.storage.getItem('confab.session') ?? '{}');
  alice.storage.setItem('confab.session', JSON.stringify({ ...stored, token: `${stored.token}x` }));
  const [me] = await Promise.all([
    alice.client.api.me.get(),
    alice.client.api.chats.list(),
    alice.client.connect(),
    alice.client.api.presence.set('busy'),
  ]);
  expect(me.username).toBe('alice');
  alice.client.close();
});

test('neither a lost refresh response nor two tabs sign users out', async () => {
  let lost = 0;
  const lossyFetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (!String(input).endsWith('/api/token/refresh') || lost > 0) return response;
    lost += 1;
    throw new TypeError('the connection broke');
  };
  const storage = memoryStorage();
  const tabs = [0, 1].map(() => new Session(server.url, { storage, fetch: lossyFetch }));
  await tabs[0]?.signIn({ email: 'bob@example.com', password: 'confab-demo' });
  const [one, other] = tabs.map((tab) => () => tab.getToken({ reason: 'expired' }));
  await expect(one?.()).rejects.toThrow('the server cannot be reached');
  expect(lost).toBe(1);
  const [first, second] = await Promise.all([one?.(), other?.()]);
  expect([typeof first, typeof second]).toEqual(['string', 'string']);
  await one?.();
  expect(tabs[0]?.isSignedIn).toBe(true);
});

test('an unknown cursor triggers a reset', async () => {
  const alice = await TestUser.signIn('alice');
  const reasons: string[] = [];
  alice.client.on('reset', ({ reason }) => reasons.push(reason));
  await alice.client.connect('0000000000-1');
  expect(reasons).toEqual(['epoch']);
  alice.client.close();
});

test('a file is uploaded and attached to a message', async () => {
  const alice = await TestUser.signIn('alice');
  const team = await alice.findChatId('team');
  let uploadedBytes = 0;
  const file = new File(['some words'], 'words.txt', { type: 'text/plain' });
  const info = await alice.client.uploads.start(file, { onProgress: ({ sent }) => (uploadedBytes = sent) });
  expect(uploadedBytes).toBe(10);
  const sent = await alice.client.messages.send(team, { content: '', files: [info.id] });
  expect(sent.files[0]?.filename).toBe('words.txt');
  const controller = new AbortController();
  controller.abort();
  await expect(alice.client.uploads.start(file, { signal: controller.signal })).rejects.toThrow();
});

const metric = async (name: string) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
};

test('eight tabs share one stream, and another takes over', async () => {
  const alice = await TestUser.signIn('alice');
  const team = await alice.findChatId('team');
  const shareConnection = new TestLocks();
  const { cursor } = await alice.client.api.bootstrap();
  const tabs: TestUser[] = [];
  for (let index = 0; index < 8; index += 1) {
    tabs.push(await TestUser.signIn('bob', { shareConnection, userId: 'bob' }));
  }
  const before = await metric('confab_connections');
  await Promise.all(tabs.map(({ client }) => client.connect(cursor)));
  expect((await metric('confab_connections')) - before).toBe(1);
  const expected: string[] = [];
  const sending: Promise<unknown>[] = [];
  for (let n = 0; n < 150; n += 1) {
    expected.push(`to all tabs ${n}`);
    sending.push(alice.client.messages.send(team, { content: `to all tabs ${n}` }));
    // Close the leader tab in the middle of the sends.
    if (n % 50 === 25) {
      await sending.at(-20);
      tabs.shift()?.client.close();
    }
  }
  await Promise.all(sending);
  // A tab that opens late reads the missed events from the log.
  tabs.push(await TestUser.signIn('bob', { shareConnection, userId: 'bob' }));
  await tabs.at(-1)?.client.connect(cursor);
  for (const tab of tabs) {
    await waitUntil('this tab has received the last', () => tab.texts().includes('to all tabs 149'));
    expect(tab.texts()).toEqual(expected);
    expect(tab.client.state).toBe('live');
  }
  expect((await metric('confab_connections')) - before).toBe(1);
  for (const { client } of tabs) client.close();
});

test('a client connects again after the user signs in again', async () => {
  const alice = await TestUser.signIn('alice');
  let isSignedIn = false;
  const getToken: typeof alice.session.getToken = async (request) =>
    isSignedIn ? alice.session.getToken(request) : null;
  const client = createChatClient({ baseUrl: server.url, getToken, storage: memoryStorage() });
  await expect(client.connect()).rejects.toThrow();
  expect(client.state).toBe('unauthorized');
  isSignedIn = true;
  await client.connect();
  expect(client.state).toBe('live');
  client.close();
});

test('a connect that nobody awaits rejects without an unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const record = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', record);
  const client = createChatClient({ baseUrl: server.url, getToken: async () => null, storage: memoryStorage() });
  void client.connect();
  await waitUntil('it has given up', () => client.state === 'unauthorized');
  // Node reports them after the microtasks of a turn.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', record);
  expect(unhandled).toEqual([]);
});

test('a dropped message is cancelled, and its late rejection emits nothing', async () => {
  let refuse: () => void = () => {};
  const rejection = new Promise<Response>((resolve) => {
    refuse = () => resolve(new Response('{"code":"invalid","detail":"no"}', { status: 422 }));
  });
  const slowFetch: typeof fetch = (url, init) => (init?.method === 'POST' ? rejection : fetch(url, init));
  const alice = await TestUser.signIn('alice', { fetch: slowFetch });
  const emitted: string[] = [];
  alice.client.on('pending', ({ status }) => emitted.push(status));
  alice.client.on('dropped', () => emitted.push('dropped'));
  const sent = alice.client.messages.send(1, { content: 'never mind' });
  const [pending] = alice.client.messages.listPending(1);
  alice.client.messages.drop(pending?.nonce ?? '');
  refuse();
  await expect(sent).rejects.toThrow('discarded');
  await rejection;
  await new Promise((resolve) => setImmediate(resolve));
  expect(emitted).toEqual(['sending', 'dropped']);
  expect(alice.client.messages.listPending()).toEqual([]);
});

test('uploads use the given fetch and send no empty token', async () => {
  const authorizations: (string | null)[] = [];
  const recordingFetch: typeof fetch = async (_, init) => {
    authorizations.push(new Headers(init?.headers).get('authorization'));
    return new Response('{"code":"unauthorized","detail":"no token"}', { status: 401 });
  };
  const client = createChatClient({ baseUrl: server.url, getToken: async () => null, fetch: recordingFetch });
  await expect(client.uploads.start(new File(['x'], 'x.txt'))).rejects.toBeInstanceOf(ApiError);
  // Without a new token the file is not sent twice.
  expect(authorizations).toEqual([null]);
});

test('replies come page by page, the newest first', async () => {
  const alice = await TestUser.signIn('alice');
  const team = await alice.findChatId('team');
  const question = await alice.client.messages.send(team, { content: 'a question' });
  for (const content of ['one', 'two', 'three'])
    await alice.client.messages.send(team, { content, reply_to: question.id });
  const seen: string[] = [];
  let before: number | undefined;
  for (let page = 0; page < 3; page += 1) {
    const { items } = await alice.client.messages.listReplies(question.id, { limit: 1, ...(before && { before }) });
    seen.push(...items.map(({ content }) => content));
    before = items[0]?.id;
  }
  expect(seen).toEqual(['three', 'two', 'one']);
});
