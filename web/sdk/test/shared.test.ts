import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SharedConnection, type SharedOptions } from '../src/shared.js';
import type { Event, EventPage } from '../src/wire/types.gen.js';
import { TestLocks } from './locks.js';

const numberOf = (cursor: string | null) => Number(cursor?.slice(2) ?? 0);
const eventOf = (n: number) => ({ type: 'user.updated', id: `e-${n}`, at: 'now', user: {} }) as unknown as Event;

/** A log, its streams, and the tabs of one browser. */
class Browser {
  readonly locks = new TestLocks();
  readonly tabs: Tab[] = [];
  /** The last event of the log. */
  last = 0;
  /** What waits for the log to answer, while it does not. */
  stuck: (() => void)[] | null = null;
  readonly #streams = new Set<(event: Event) => void>();

  get streams(): number {
    return this.#streams.size;
  }

  /** Something happens, so many times. */
  happen(many: number): void {
    for (let n = 0; n < many; n += 1) {
      this.last += 1;
      for (const tell of this.#streams) tell(eventOf(this.last));
    }
  }

  open(cursor: number): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    tab.connection.open(`e-${cursor}`);
    return tab;
  }

  readonly transport: SharedOptions['transport'] = async ({ cursor, signal, onActivity, onEvent }) => {
    onEvent({ type: 'ready', cursor: `e-${this.last}` } as Event);
    for (let n = numberOf(cursor) + 1; n <= this.last; n += 1) onEvent(eventOf(n));
    onEvent({ type: 'caught_up', cursor: `e-${this.last}` } as Event);
    this.#streams.add(onEvent);
    const heartbeat = setInterval(onActivity, 15_000);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    clearInterval(heartbeat);
    this.#streams.delete(onEvent);
    throw new Error('hung up');
  };

  readonly eventsAfter = async (cursor: string): Promise<EventPage> => {
    const { stuck } = this;
    if (stuck) await new Promise<void>((resolve) => stuck.push(resolve));
    const from = numberOf(cursor);
    const upto = Math.min(from + 2, this.last);
    const events = Array.from({ length: upto - from }, (_, n) => eventOf(from + n + 1));
    return { events, cursor: `e-${upto}`, more: upto < this.last };
  };
}

class Tab {
  readonly heard: number[] = [];
  readonly states: string[] = [];
  readonly connection: SharedConnection;
  readonly #nth = channels.length;
  #awake: Promise<void> = Promise.resolve();
  #wake = () => {};

  constructor({ transport, eventsAfter, locks }: Browser) {
    this.connection = new SharedConnection({
      baseUrl: '',
      name,
      transport,
      eventsAfter,
      getToken: async () => 'token',
      locks: {
        request: async (...asked) => {
          try {
            await locks.request(...asked);
          } finally {
            await this.#awake;
          }
        },
      },
    });
    this.connection.on('event', (event) => this.heard.push(numberOf('id' in event ? event.id : null)));
    this.connection.on('state', ({ to }) => this.states.push(to));
  }

  /** From now on it hears nothing and says nothing, until it wakes. */
  sleep(): void {
    const channel = channels[this.#nth];
    if (!channel) throw new Error('a tab that is open has a channel');
    const hear = channel.onmessage;
    const missed: unknown[] = [];
    channel.onmessage = (message) => missed.push(message);
    channel.postMessage = () => {};
    this.#awake = new Promise((resolve) => {
      this.#wake = () => {
        channel.onmessage = hear;
        channel.postMessage = Real.prototype.postMessage;
        for (const message of missed) hear?.call(channel, message as never);
        resolve();
      };
    });
  }

  wake(): void {
    this.#wake();
  }
}

/** The channels of the tabs, in the order in which they were opened. */
let channels: BroadcastChannel[] = [];
const leaders: BroadcastChannel[] = [];
let name = '';
let browser: Browser;
const Real = globalThis.BroadcastChannel;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'] });
  channels = [];
  name = `tabs ${Math.random()}`;
  browser = new Browser();
  globalThis.BroadcastChannel = class extends Real {
    constructor(of: string) {
      super(of);
      channels.push(this);
    }
  };
});

afterEach(() => {
  for (const tab of browser.tabs) tab.connection.close();
  for (const channel of leaders.splice(0)) channel.close();
  globalThis.BroadcastChannel = Real;
  vi.useRealTimers();
});

/** Lets everything happen that needs no time. */
async function turns(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await vi.advanceTimersByTimeAsync(500);
    await turns();
  }
}

/** Within this a leader that sleeps has been found out, in milliseconds. */
const ASKED_MS = 14_000;

const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n + 1);

test('a tab that sleeps with the stream loses it to one that hears nothing, and follows when it wakes', async () => {
  const [leading, following] = [browser.open(0), browser.open(0)];
  await turns();
  expect([leading.connection.leads, following.connection.leads]).toEqual([true, false]);
  browser.happen(2);
  await turns();
  leading.sleep();
  browser.happen(3);
  await pass(ASKED_MS);
  expect(following.connection.leads).toBe(true);
  expect(following.heard).toEqual(upTo(0, 5));
  browser.happen(1);
  leading.wake();
  await turns();
  expect([leading.connection.leads, browser.streams]).toEqual([false, 1]);
  browser.happen(1);
  await turns();
  for (const tab of browser.tabs) {
    expect(tab.heard).toEqual(upTo(0, 7));
    expect(tab.connection.state).toBe('live');
  }
  // It waits for its turn as before.
  following.connection.close();
  await turns();
  expect(leading.connection.leads).toBe(true);
});

test('a leader that answers keeps the stream, however quiet it is', async () => {
  const [leading] = [browser.open(0), browser.open(0)];
  await pass(60_000);
  expect([leading?.connection.leads, browser.streams]).toEqual([true, 1]);
});

test('a new leader that is ahead loses nobody anything', async () => {
  const [leading, behind] = [browser.open(0), browser.open(0)];
  await turns();
  leading.sleep();
  behind.sleep();
  browser.happen(5);
  const ahead = browser.open(browser.last);
  behind.wake();
  browser.happen(1);
  await pass(ASKED_MS);
  expect(ahead.connection.leads).toBe(true);
  browser.happen(2);
  await turns();
  expect(behind.heard).toEqual(upTo(0, 8));
  expect(ahead.heard).toEqual(upTo(5, 8));
});

test('a tab that has missed something is live when it has heard it, and not before', async () => {
  const [, following] = [browser.open(0), browser.open(0)];
  await turns();
  browser.stuck = [];
  browser.happen(3);
  const late = browser.open(0);
  await turns();
  browser.happen(1);
  // Whoever asks makes the leader say again that it is live.
  browser.open(browser.last);
  await turns();
  expect([late.connection.state, late.heard]).toEqual(['catching_up', []]);
  for (const answer of browser.stuck) answer();
  browser.stuck = null;
  await turns();
  expect([late.connection.state, late.heard]).toEqual(['live', upTo(0, 4)]);
  expect(following.heard).toEqual(upTo(0, 4));
});

test('what the log answers after a tab has led is not told again', async () => {
  const first = browser.open(0);
  await turns();
  browser.happen(4);
  browser.stuck = [];
  const second = browser.open(0);
  await turns();
  expect(second.connection.state).toBe('catching_up');
  first.connection.close();
  await turns();
  expect(second.connection.leads).toBe(true);
  browser.happen(2);
  second.sleep();
  const third = browser.open(browser.last);
  await pass(ASKED_MS);
  expect(third.connection.leads).toBe(true);
  second.wake();
  for (const answer of browser.stuck) answer();
  browser.stuck = null;
  browser.happen(1);
  await pass(1_000);
  expect(second.heard).toEqual(upTo(0, 7));
});

test('a lock that is given after closing opens nothing, and opening again works', async () => {
  const [leading, closing] = [browser.open(0), browser.open(0)];
  await turns();
  leading.sleep();
  browser.locks.beforeTheft = () => closing.connection.close();
  await pass(ASKED_MS);
  expect(closing.connection.leads).toBe(false);
  browser.locks.beforeTheft = () => {};
  leading.wake();
  closing.connection.open();
  browser.happen(1);
  await pass(ASKED_MS);
  expect(browser.streams).toBe(1);
  for (const tab of browser.tabs) expect([tab.heard, tab.connection.state]).toEqual([[1], 'live']);
});

test('however often the lock is taken, each tab waits for it once', async () => {
  const tabs = [browser.open(0), browser.open(0)];
  await turns();
  for (let round = 0; round < 6; round += 1) {
    const leader = tabs.find(({ connection }) => connection.leads);
    leader?.sleep();
    await pass(ASKED_MS);
    leader?.wake();
    await turns();
  }
  expect(browser.streams).toBe(1);
  expect(browser.locks.waiting).toBeLessThanOrEqual(2);
});

test('a page that may lock nothing has a stream of its own', async () => {
  browser.locks.request = () => Promise.reject(new DOMException('not here', 'SecurityError'));
  const tab = browser.open(0);
  await turns();
  browser.happen(1);
  await turns();
  expect([tab.connection.leads, tab.heard]).toEqual([true, [1]]);
});

test('who closes while it is told what it missed hears no more, and stays closed', async () => {
  browser.open(0);
  await turns();
  browser.stuck = [];
  browser.happen(3);
  const closing = browser.open(0);
  closing.connection.on('event', () => closing.connection.close());
  await turns();
  browser.happen(2);
  await turns();
  for (const answer of browser.stuck) answer();
  browser.stuck = null;
  await turns();
  expect([closing.heard, closing.states.at(-1)]).toEqual([[1], 'closed']);
  closing.connection.open('e-4');
  await turns();
  expect(closing.connection.cursor).toBe('e-5');
});

/** Somebody who leads, and says what a test says. */
function leader(by: string) {
  void browser.locks.request(name, {}, () => new Promise(() => {}));
  const channel = new Real(name);
  leaders.push(channel);
  return {
    state: (n: number, state = 'live') =>
      channel.postMessage({ kind: 'state', by, state, retryAt: null, cursor: `e-${n}` }),
    event: (n: number) => channel.postMessage({ kind: 'event', by, event: eventOf(n) }),
    resync: (reason: string, cursor: string) => channel.postMessage({ kind: 'resync', by, reason, cursor }),
  };
}

test('who closes on what was held stays closed', async () => {
  const leading = leader('one');
  await turns();
  const closing = browser.open(5);
  closing.connection.on('event', () => closing.connection.close());
  leading.event(6);
  leading.state(5);
  await turns();
  expect([closing.heard, closing.states.at(-1)]).toEqual([[6], 'closed']);
});

test('a log that has gone back is begun anew by everybody, and what was held is forgotten', async () => {
  const leading = leader('one');
  await turns();
  const tab = browser.open(50);
  const begun: string[] = [];
  tab.connection.on('resync', ({ cursor }) => begun.push(cursor));
  leading.state(50);
  await turns();
  leading.state(40);
  leading.resync('future', 'e-40');
  leading.event(41);
  await turns();
  expect([begun, tab.heard]).toEqual([['e-40'], [41]]);
  // Another history: what is held of the last is no part of it.
  browser.stuck = [];
  leading.state(60);
  leading.event(61);
  await turns();
  leading.resync('epoch', 'f-3');
  await turns();
  const { stuck } = browser;
  browser.stuck = null;
  for (const answer of stuck) answer();
  await turns();
  expect([begun, tab.heard]).toEqual([['e-40', 'f-3'], [41]]);
});

test('one who led before and answers late leads nobody astray', async () => {
  const [before, now] = [leader('before'), leader('now')];
  await turns();
  browser.last = 106;
  const tab = browser.open(103);
  before.state(100);
  now.event(106);
  await turns();
  expect(tab.heard).toEqual([]);
  now.state(106);
  await turns();
  expect(tab.heard).toEqual(upTo(103, 106));
});
