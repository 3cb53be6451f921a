import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SharedConnection, type SharedConnectionOptions } from '../src/sharedConnection.js';
import type { Event, EventPage } from '../src/wire/types.gen.js';
import { TestLocks } from './locks.js';

const positionOf = (cursor: string | null) => Number(cursor?.slice(2) ?? 0);
const eventOf = (n: number) => ({ type: 'user.updated', id: `e-${n}`, at: 'now', user: {} }) as unknown as Event;

/** An event log, its streams, and the tabs of one browser. */
class Browser {
  readonly locks = new TestLocks();
  readonly tabs: Tab[] = [];
  /** The last event of the log. */
  last = 0;
  /** Pending log requests, while requests are blocked. */
  blockedReads: (() => void)[] | null = null;
  readonly #streams = new Set<(event: Event) => void>();

  get streams(): number {
    return this.#streams.size;
  }

  /** Appends events to the log. */
  appendEvents(count: number): void {
    for (let n = 0; n < count; n += 1) {
      this.last += 1;
      for (const send of this.#streams) send(eventOf(this.last));
    }
  }

  open(cursor: number): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    tab.connection.open(`e-${cursor}`);
    return tab;
  }

  readonly transport: SharedConnectionOptions['transport'] = async ({ cursor, signal, onActivity, onEvent }) => {
    onEvent({ type: 'ready', cursor: `e-${this.last}` } as Event);
    for (let n = positionOf(cursor) + 1; n <= this.last; n += 1) onEvent(eventOf(n));
    onEvent({ type: 'caught_up', cursor: `e-${this.last}` } as Event);
    this.#streams.add(onEvent);
    const heartbeat = setInterval(onActivity, 15_000);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    clearInterval(heartbeat);
    this.#streams.delete(onEvent);
    throw new Error('stream closed');
  };

  readonly fetchEventsAfter = async (cursor: string): Promise<EventPage> => {
    const { blockedReads } = this;
    if (blockedReads) await new Promise<void>((resolve) => blockedReads.push(resolve));
    const from = positionOf(cursor);
    const end = Math.min(from + 2, this.last);
    const events = Array.from({ length: end - from }, (_, n) => eventOf(from + n + 1));
    return { events, cursor: `e-${end}`, more: end < this.last };
  };
}

class Tab {
  readonly received: number[] = [];
  readonly states: string[] = [];
  readonly connection: SharedConnection;
  readonly #channelIndex = channels.length;
  #awake: Promise<void> = Promise.resolve();
  #wake = () => {};

  constructor({ transport, fetchEventsAfter, locks }: Browser) {
    this.connection = new SharedConnection({
      baseUrl: '',
      name,
      transport,
      fetchEventsAfter,
      getToken: async () => 'token',
      locks: {
        request: async (...args) => {
          try {
            await locks.request(...args);
          } finally {
            await this.#awake;
          }
        },
      },
    });
    this.connection.on('event', (event) => this.received.push(positionOf('id' in event ? event.id : null)));
    this.connection.on('state', ({ to }) => this.states.push(to));
  }

  /** Suspends the tab: it neither receives nor sends messages until it wakes. */
  sleep(): void {
    const channel = channels[this.#channelIndex];
    if (!channel) throw new Error('an open tab has a channel');
    const handler = channel.onmessage;
    const missed: unknown[] = [];
    channel.onmessage = (message) => missed.push(message);
    channel.postMessage = () => {};
    this.#awake = new Promise((resolve) => {
      this.#wake = () => {
        channel.onmessage = handler;
        channel.postMessage = RealBroadcastChannel.prototype.postMessage;
        for (const message of missed) handler?.call(channel, message as never);
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
const RealBroadcastChannel = globalThis.BroadcastChannel;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'] });
  channels = [];
  name = `tabs ${Math.random()}`;
  browser = new Browser();
  globalThis.BroadcastChannel = class extends RealBroadcastChannel {
    constructor(channelName: string) {
      super(channelName);
      channels.push(this);
    }
  };
});

afterEach(() => {
  for (const tab of browser.tabs) tab.connection.close();
  for (const channel of leaders.splice(0)) channel.close();
  globalThis.BroadcastChannel = RealBroadcastChannel;
  vi.useRealTimers();
});

/** Runs all pending tasks that need no timer. */
async function flushTasks(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function advanceTime(ms: number): Promise<void> {
  for (let elapsed = 0; elapsed < ms; elapsed += 500) {
    await vi.advanceTimersByTimeAsync(500);
    await flushTasks();
  }
}

/** A suspended leader is replaced within this time, in milliseconds. */
const FAILOVER_MS = 14_000;

const positions = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n + 1);

test('a sleeping leader loses the stream and follows after waking', async () => {
  const [leading, following] = [browser.open(0), browser.open(0)];
  await flushTasks();
  expect([leading.connection.isLeader, following.connection.isLeader]).toEqual([true, false]);
  browser.appendEvents(2);
  await flushTasks();
  leading.sleep();
  browser.appendEvents(3);
  await advanceTime(FAILOVER_MS);
  expect(following.connection.isLeader).toBe(true);
  expect(following.received).toEqual(positions(0, 5));
  browser.appendEvents(1);
  leading.wake();
  await flushTasks();
  expect([leading.connection.isLeader, browser.streams]).toEqual([false, 1]);
  browser.appendEvents(1);
  await flushTasks();
  for (const tab of browser.tabs) {
    expect(tab.received).toEqual(positions(0, 7));
    expect(tab.connection.state).toBe('live');
  }
  // It is still waiting for the lock.
  following.connection.close();
  await flushTasks();
  expect(leading.connection.isLeader).toBe(true);
});

test('a quiet leader that responds keeps the stream', async () => {
  const [leading] = [browser.open(0), browser.open(0)];
  await advanceTime(60_000);
  expect([leading?.connection.isLeader, browser.streams]).toEqual([true, 1]);
});

test('a new leader that is ahead causes no gaps in other tabs', async () => {
  const [leading, behind] = [browser.open(0), browser.open(0)];
  await flushTasks();
  leading.sleep();
  behind.sleep();
  browser.appendEvents(5);
  const ahead = browser.open(browser.last);
  behind.wake();
  browser.appendEvents(1);
  await advanceTime(FAILOVER_MS);
  expect(ahead.connection.isLeader).toBe(true);
  browser.appendEvents(2);
  await flushTasks();
  expect(behind.received).toEqual(positions(0, 8));
  expect(ahead.received).toEqual(positions(5, 8));
});

test('a tab becomes live only after it has caught up', async () => {
  const [, following] = [browser.open(0), browser.open(0)];
  await flushTasks();
  browser.blockedReads = [];
  browser.appendEvents(3);
  const late = browser.open(0);
  await flushTasks();
  browser.appendEvents(1);
  // A new tab makes the leader broadcast its live state again.
  browser.open(browser.last);
  await flushTasks();
  expect([late.connection.state, late.received]).toEqual(['catching_up', []]);
  for (const resume of browser.blockedReads) resume();
  browser.blockedReads = null;
  await flushTasks();
  expect([late.connection.state, late.received]).toEqual(['live', positions(0, 4)]);
  expect(following.received).toEqual(positions(0, 4));
});

test('a log page read before leading is not emitted again', async () => {
  const first = browser.open(0);
  await flushTasks();
  browser.appendEvents(4);
  browser.blockedReads = [];
  const second = browser.open(0);
  await flushTasks();
  expect(second.connection.state).toBe('catching_up');
  first.connection.close();
  await flushTasks();
  expect(second.connection.isLeader).toBe(true);
  browser.appendEvents(2);
  second.sleep();
  const third = browser.open(browser.last);
  await advanceTime(FAILOVER_MS);
  expect(third.connection.isLeader).toBe(true);
  second.wake();
  for (const resume of browser.blockedReads) resume();
  browser.blockedReads = null;
  browser.appendEvents(1);
  await advanceTime(1_000);
  expect(second.received).toEqual(positions(0, 7));
});

test('a lock granted after close opens no stream; reopening works', async () => {
  const [leading, closing] = [browser.open(0), browser.open(0)];
  await flushTasks();
  leading.sleep();
  browser.locks.beforeSteal = () => closing.connection.close();
  await advanceTime(FAILOVER_MS);
  expect(closing.connection.isLeader).toBe(false);
  browser.locks.beforeSteal = () => {};
  leading.wake();
  closing.connection.open();
  browser.appendEvents(1);
  await advanceTime(FAILOVER_MS);
  expect(browser.streams).toBe(1);
  for (const tab of browser.tabs) expect([tab.received, tab.connection.state]).toEqual([[1], 'live']);
});

test('a tab queues for the lock once, however often it is stolen', async () => {
  const tabs = [browser.open(0), browser.open(0)];
  await flushTasks();
  for (let round = 0; round < 6; round += 1) {
    const leader = tabs.find(({ connection }) => connection.isLeader);
    leader?.sleep();
    await advanceTime(FAILOVER_MS);
    leader?.wake();
    await flushTasks();
  }
  expect(browser.streams).toBe(1);
  expect(browser.locks.pendingCount).toBeLessThanOrEqual(2);
});

test('a page without lock access opens its own stream', async () => {
  browser.locks.request = () => Promise.reject(new DOMException('not here', 'SecurityError'));
  const tab = browser.open(0);
  await flushTasks();
  browser.appendEvents(1);
  await flushTasks();
  expect([tab.connection.isLeader, tab.received]).toEqual([true, [1]]);
});

test('closing during catch-up stops events and stays closed', async () => {
  browser.open(0);
  await flushTasks();
  browser.blockedReads = [];
  browser.appendEvents(3);
  const closing = browser.open(0);
  closing.connection.on('event', () => closing.connection.close());
  await flushTasks();
  browser.appendEvents(2);
  await flushTasks();
  for (const resume of browser.blockedReads) resume();
  browser.blockedReads = null;
  await flushTasks();
  expect([closing.received, closing.states.at(-1)]).toEqual([[1], 'closed']);
  closing.connection.open('e-4');
  await flushTasks();
  expect(closing.connection.cursor).toBe('e-5');
});

/** A leader whose messages are controlled by the test. */
function createLeader(termId: string) {
  void browser.locks.request(name, {}, () => new Promise(() => {}));
  const channel = new RealBroadcastChannel(name);
  leaders.push(channel);
  return {
    state: (n: number, state = 'live') =>
      channel.postMessage({ kind: 'state', termId, state, retryAt: null, cursor: `e-${n}` }),
    event: (n: number) => channel.postMessage({ kind: 'event', termId, event: eventOf(n) }),
    reset: (reason: string, cursor: string) => channel.postMessage({ kind: 'reset', termId, reason, cursor }),
  };
}

test('closing while the buffer is flushed stays closed', async () => {
  const leading = createLeader('one');
  await flushTasks();
  const closing = browser.open(5);
  closing.connection.on('event', () => closing.connection.close());
  leading.event(6);
  leading.state(5);
  await flushTasks();
  expect([closing.received, closing.states.at(-1)]).toEqual([[6], 'closed']);
});

test('a reset reaches every tab and clears its buffer', async () => {
  const leading = createLeader('one');
  await flushTasks();
  const tab = browser.open(50);
  const resets: string[] = [];
  tab.connection.on('reset', ({ cursor }) => resets.push(cursor));
  leading.state(50);
  await flushTasks();
  leading.state(40);
  leading.reset('future', 'e-40');
  leading.event(41);
  await flushTasks();
  expect([resets, tab.received]).toEqual([['e-40'], [41]]);
  // A new epoch: events buffered from the old one are dropped.
  browser.blockedReads = [];
  leading.state(60);
  leading.event(61);
  await flushTasks();
  leading.reset('epoch', 'f-3');
  await flushTasks();
  const { blockedReads } = browser;
  browser.blockedReads = null;
  for (const resume of blockedReads) resume();
  await flushTasks();
  expect([resets, tab.received]).toEqual([['e-40', 'f-3'], [41]]);
});

test('a late message from a former leader is ignored', async () => {
  const [before, now] = [createLeader('before'), createLeader('now')];
  await flushTasks();
  browser.last = 106;
  const tab = browser.open(103);
  before.state(100);
  now.event(106);
  await flushTasks();
  expect(tab.received).toEqual([]);
  now.state(106);
  await flushTasks();
  expect(tab.received).toEqual(positions(103, 106));
});
