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
import { TestServer, until } from './server.js';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
}, 60_000);
afterAll(() => server.stop());

/** Somebody of the demo world, with a client of their own. */
class Person {
  readonly heard: Event[] = [];

  private constructor(
    readonly session: Session,
    readonly client: ChatClient,
    readonly storage: Storage,
  ) {
    client.on('*', (event) => this.heard.push(event));
  }

  static async signIn(name: string, options: Partial<ChatClientOptions> = {}): Promise<Person> {
    const storage = memoryStorage();
    const session = new Session(server.url, { storage });
    await session.signIn({ email: `${name}@example.com`, password: 'confab-demo' });
    const { getToken } = session;
    const client = createChatClient({ baseUrl: server.url, getToken, storage: memoryStorage(), ...options });
    return new Person(session, client, storage);
  }

  async chat(name: string): Promise<number> {
    const chat = (await this.client.api.chats.list()).find((one) => one.name === name);
    if (!chat) throw new Error(`no chat ${name}`);
    return chat.id;
  }

  texts(): string[] {
    return this.heard.flatMap((event) => (event.type === 'message.new' ? [event.message.content] : []));
  }
}

const Socket = WebSocket as unknown as typeof globalThis.WebSocket;

describe.each(['sse', 'websocket'] as const)('over %s', (transport) => {
  const options: Partial<ChatClientOptions> = { transport, WebSocket: Socket };

  test('two people chat, and each event comes under its type', async () => {
    const alice = await Person.signIn('alice', options);
    const bob = await Person.signIn('bob', options);
    const team = await alice.chat('team');
    const { cursor } = await bob.client.api.bootstrap();
    const reactions: string[] = [];
    bob.client.on('reaction.added', ({ emoji }) => reactions.push(emoji));
    await bob.client.connect(cursor);
    const sent = await alice.client.messages.send(team, { content: `hello over ${transport}` });
    await until('bob hears it', () => bob.texts().includes(`hello over ${transport}`));
    await alice.client.messages.react(sent.id, '👍');
    await until('bob sees it', () => reactions.length > 0);
    expect(reactions).toEqual(['👍']);
    alice.client.close();
    bob.client.close();
    expect(bob.client.state).toBe('closed');
  });

  test('what was missed comes, once and in order, after any break', async () => {
    const alice = await Person.signIn('alice', options);
    const bob = await Person.signIn('bob', options);
    const team = await alice.chat('team');
    await bob.client.connect((await bob.client.api.bootstrap()).cursor);
    for (let n = 0; n < 30; n += 1) {
      await alice.client.messages.send(team, { content: `${transport} ${n}` });
      if (n % 10 === 5) bob.client.reconnect();
    }
    await until('bob has heard the last', () => bob.texts().includes(`${transport} 29`));
    expect(bob.texts()).toEqual(Array.from({ length: 30 }, (_, n) => `${transport} ${n}`));
    bob.client.close();
  });

  test('a session that ends is said so, and nothing is tried any more', async () => {
    const bob = await Person.signIn('bob', options);
    await bob.client.connect();
    await bob.client.api.me.get();
    await bob.session.signOut();
    await until('it is noticed', () => bob.client.state === 'unauthorized');
    await expect(bob.client.api.me.get()).rejects.toBeInstanceOf(ApiError);
  });
});

test('a server that is killed and comes back loses nothing of either side', async () => {
  const alice = await Person.signIn('alice');
  const bob = await Person.signIn('bob');
  const team = await alice.chat('team');
  await bob.client.connect((await bob.client.api.bootstrap()).cursor);
  await alice.client.connect();
  const sending: Promise<unknown>[] = [];
  for (let n = 0; n < 40; n += 1) {
    sending.push(alice.client.messages.send(team, { content: `kept ${n}` }));
    if (n === 20) await server.kill();
  }
  expect(alice.client.messages.pending(team).length).toBeGreaterThan(0);
  await server.begin();
  await Promise.all(sending);
  await until('bob has heard the last', () => bob.texts().includes('kept 39'), 40_000);
  expect(bob.texts()).toEqual(Array.from({ length: 40 }, (_, n) => `kept ${n}`));
  expect(alice.client.messages.pending()).toEqual([]);
  alice.client.close();
  bob.client.close();
}, 90_000);

test('an answer that is lost is asked for again, and nothing is said twice', async () => {
  let lost = 0;
  const forgetful: typeof fetch = async (url, asked) => {
    const answer = await fetch(url, asked);
    if (asked?.method === 'POST' && String(url).endsWith('/messages') && lost < 3) {
      lost += 1;
      throw new TypeError('the line broke');
    }
    return answer;
  };
  const alice = await Person.signIn('alice', { fetch: forgetful });
  const team = await alice.chat('team');
  await alice.client.messages.send(team, { content: 'said once' });
  expect(lost).toBe(3);
  const { items } = await alice.client.messages.list(team, { limit: 10 });
  expect(items.filter(({ content }) => content === 'said once')).toHaveLength(1);
});

test('what a page had on its way is sent by the next one, and once', async () => {
  const storage = memoryStorage();
  const nowhere = createChatClient({
    baseUrl: 'http://127.0.0.1:9',
    getToken: async () => 'any',
    storage,
    person: 'alice',
  });
  const alice = await Person.signIn('alice', { storage, person: 'alice' });
  const team = await alice.chat('team');
  void nowhere.messages.send(team, { content: 'written before the page went' });
  nowhere.close();
  const { getToken } = alice.session;
  const again = createChatClient({ baseUrl: server.url, getToken, storage, person: 'alice' });
  expect(again.messages.pending(team)).toHaveLength(1);
  await again.connect();
  await until('it is sent', () => again.messages.pending().length === 0);
  const { items } = await again.messages.list(team, { limit: 5 });
  expect(items.filter(({ content }) => content === 'written before the page went')).toHaveLength(1);
  again.close();
});

test('what the server refuses fails with its words, and holds nobody up', async () => {
  const alice = await Person.signIn('alice');
  const team = await alice.chat('team');
  const failed: string[] = [];
  alice.client.on('pending', ({ status, error }) => status === 'failed' && failed.push(error ?? ''));
  await expect(alice.client.messages.send(team, { content: ' ' })).rejects.toBeInstanceOf(ApiError);
  expect(failed).toEqual(['a message has words or files']);
  const [pending] = alice.client.messages.pending(team);
  await alice.client.messages.send(team, { content: 'after it' });
  alice.client.messages.drop(pending?.nonce ?? '');
  expect(alice.client.messages.pending()).toEqual([]);
});

test('a token that is refused is renewed once, whoever asks', async () => {
  const alice = await Person.signIn('alice');
  const kept = JSON.parse(alice.storage.getItem('confab.session') ?? '{}');
  alice.storage.setItem('confab.session', JSON.stringify({ ...kept, token: `${kept.token}x` }));
  const [me] = await Promise.all([
    alice.client.api.me.get(),
    alice.client.api.chats.list(),
    alice.client.connect(),
    alice.client.api.presence.set('busy'),
  ]);
  expect(me.username).toBe('alice');
  alice.client.close();
});

test('a renewal whose answer is lost signs nobody out, and neither do two tabs at once', async () => {
  let lost = 0;
  const losing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (!String(input).endsWith('/api/token/refresh') || lost > 0) return response;
    lost += 1;
    throw new TypeError('the line broke');
  };
  const storage = memoryStorage();
  const tabs = [0, 1].map(() => new Session(server.url, { storage, fetch: losing }));
  await tabs[0]?.signIn({ email: 'bob@example.com', password: 'confab-demo' });
  const [one, other] = tabs.map((tab) => () => tab.getToken({ reason: 'expired' }));
  await expect(one?.()).rejects.toThrow('the server cannot be reached');
  expect(lost).toBe(1);
  const [first, second] = await Promise.all([one?.(), other?.()]);
  expect([typeof first, typeof second]).toEqual(['string', 'string']);
  await one?.();
  expect(tabs[0]?.isSignedIn).toBe(true);
});

test('a cursor that cannot be told asks for a fresh screen', async () => {
  const alice = await Person.signIn('alice');
  const asked: string[] = [];
  alice.client.on('resync', ({ reason }) => asked.push(reason));
  await alice.client.connect('0000000000-1');
  expect(asked).toEqual(['epoch']);
  alice.client.close();
});

test('a file goes up and is shown by a message', async () => {
  const alice = await Person.signIn('alice');
  const team = await alice.chat('team');
  let done = 0;
  const file = new File(['some words'], 'words.txt', { type: 'text/plain' });
  const info = await alice.client.uploads.start(file, { onProgress: ({ sent }) => (done = sent) });
  expect(done).toBe(10);
  const sent = await alice.client.messages.send(team, { content: '', files: [info.id] });
  expect(sent.files[0]?.filename).toBe('words.txt');
  const given = new AbortController();
  given.abort();
  await expect(alice.client.uploads.start(file, { signal: given.signal })).rejects.toThrow();
});

const figure = async (name: string) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
};

test('eight tabs share one stream, and the next goes on when the first goes', async () => {
  const alice = await Person.signIn('alice');
  const team = await alice.chat('team');
  const shareConnection = new TestLocks();
  const { cursor } = await alice.client.api.bootstrap();
  const tabs: Person[] = [];
  for (let nth = 0; nth < 8; nth += 1) {
    tabs.push(await Person.signIn('bob', { shareConnection, person: 'bob' }));
  }
  const before = await figure('confab_streams');
  await Promise.all(tabs.map(({ client }) => client.connect(cursor)));
  expect((await figure('confab_streams')) - before).toBe(1);
  const expected: string[] = [];
  const sending: Promise<unknown>[] = [];
  for (let n = 0; n < 150; n += 1) {
    expected.push(`to all tabs ${n}`);
    sending.push(alice.client.messages.send(team, { content: `to all tabs ${n}` }));
    // In the middle of it all, the one that has the stream.
    if (n % 50 === 25) {
      await sending.at(-20);
      tabs.shift()?.client.close();
    }
  }
  await Promise.all(sending);
  // One that comes late reads what it missed from the log.
  tabs.push(await Person.signIn('bob', { shareConnection, person: 'bob' }));
  await tabs.at(-1)?.client.connect(cursor);
  for (const tab of tabs) {
    await until('this tab has heard the last', () => tab.texts().includes('to all tabs 149'));
    expect(tab.texts()).toEqual(expected);
    expect(tab.client.state).toBe('live');
  }
  expect((await figure('confab_streams')) - before).toBe(1);
  for (const { client } of tabs) client.close();
});
