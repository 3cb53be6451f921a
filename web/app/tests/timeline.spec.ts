import type { Message } from '@confab/sdk';
import type { Locator } from '@playwright/test';
import { expect, insertMessages, sql, type TestUser, test } from './fixtures';

/** Returns the position of a message, in pixels from the top. */
const getTop = (user: TestUser, id: number) =>
  user.page.locator(`[data-message="${id}"]`).evaluate((row) => row.getBoundingClientRect().top);

/** Returns the first fully visible message. */
const findFirstVisible = (log: Locator) =>
  log.evaluate((scroller) => {
    const top = scroller.getBoundingClientRect().top;
    const rows = [...scroller.querySelectorAll<HTMLElement>('[data-message]')];
    return Number(rows.find((row) => row.getBoundingClientRect().top >= top)?.dataset.message);
  });

/** Returns the distance from the end, in pixels. */
const getDistanceFromEnd = (log: Locator) =>
  log.evaluate((scroller) => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight);

const scrollTo = (log: Locator, top: number) => log.evaluate((scroller, to) => scroller.scrollTo(0, to), top);

/** Waits until the timeline has not moved for 16 frames. */
async function waitUntilStill(user: TestUser): Promise<void> {
  await user.page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const scroller = document.querySelector('[role=log]');
        let [stillFrames, lastSnapshot] = [0, ''];
        const checkFrame = () => {
          const snapshot = `${scroller?.scrollTop} ${scroller?.scrollHeight} ${scroller?.getAttribute('aria-busy')}`;
          stillFrames = snapshot === lastSnapshot ? stillFrames + 1 : 0;
          lastSnapshot = snapshot;
          if (stillFrames > 15) resolve();
          else requestAnimationFrame(checkFrame);
        };
        checkFrame();
      }),
  );
}

/** Opens a chat with a history as one user, and returns a second user to write in it. */
async function openHistory(
  createUser: (name: string) => Promise<TestUser>,
  createGroup: (...users: [TestUser, TestUser]) => Promise<number>,
  server: Parameters<typeof insertMessages>[0],
  messageCount = 120,
) {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await insertMessages(server, chat, bob.me.id, messageCount);
  await alice.api.chats.markRead(chat, (await alice.api.messages.list(chat)).items[0]?.id ?? 0);
  await alice.open(chat);
  await expect(alice.message(`message ${messageCount}`).last()).toBeInViewport();
  await waitUntilStill(alice);
  return {
    alice,
    bob,
    chat,
    sendAsBob: (content: string): Promise<Message> => bob.client.messages.send(chat, { content }),
  };
}

test('rule 1: at the end, new or growing content stays in view', async ({ createUser, createGroup, server }) => {
  const { alice, bob, sendAsBob } = await openHistory(createUser, createGroup, server);
  for (let n = 0; n < 20; n += 1) await sendAsBob(`new ${n}${' and long'.repeat(n * 8)}`);
  const last = await sendAsBob('the last');
  await expect(alice.message('the last')).toBeInViewport();
  await waitUntilStill(alice);
  expect(await getDistanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
  await bob.api.messages.edit(last.id, 'the last, but longer\n'.repeat(12));
  await expect(alice.message('but longer')).toBeVisible();
  await waitUntilStill(alice);
  expect(await getDistanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});

test('rule 2: scrolled up, new messages move nothing', async ({ createUser, createGroup, server }) => {
  const { alice, sendAsBob } = await openHistory(createUser, createGroup, server);
  await scrollTo(alice.log, 400);
  await waitUntilStill(alice);
  const firstVisible = await findFirstVisible(alice.log);
  const before = await getTop(alice, firstVisible);
  for (let n = 0; n < 5; n += 1) await sendAsBob(`new ${n}`);
  const pill = alice.page.getByRole('button', { name: '5 new messages' });
  await expect(pill).toBeVisible();
  await waitUntilStill(alice);
  expect(await getTop(alice, firstVisible)).toBe(before);
  await pill.click();
  await expect(alice.message('new 4')).toBeInViewport();
  await expect(pill).toBeHidden();
});

test('rule 3: loading an older page moves nothing', async ({ createUser, createGroup, server }) => {
  const { alice } = await openHistory(createUser, createGroup, server, 400);
  for (let page = 0; page < 3; page += 1) {
    const height = await alice.log.evaluate((scroller) => scroller.scrollHeight);
    // Hold the page back until the position has been measured.
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await alice.page.route('**/messages?before=*', async (route) => {
      await released;
      await route.continue();
    });
    await scrollTo(alice.log, 60);
    await expect(alice.log).toHaveAttribute('aria-busy', 'true');
    const firstVisible = await findFirstVisible(alice.log);
    const before = await getTop(alice, firstVisible);
    release();
    await expect.poll(() => alice.log.evaluate((scroller) => scroller.scrollHeight)).toBeGreaterThan(height + 500);
    await waitUntilStill(alice);
    expect(Math.abs((await getTop(alice, firstVisible)) - before)).toBeLessThanOrEqual(1);
    await alice.page.unroute('**/messages?before=*');
  }
});

test('rule 4: changes above the viewport move nothing', async ({ createUser, createGroup, server }) => {
  const { alice, bob, chat } = await openHistory(createUser, createGroup, server);
  const messages = (await bob.api.messages.list(chat, { limit: 100 })).items;
  await scrollTo(alice.log, 1_500);
  await waitUntilStill(alice);
  const firstVisible = await findFirstVisible(alice.log);
  const before = await getTop(alice, firstVisible);
  // Skip the nearest message: it may be partly visible and would grow downwards.
  const above = messages.filter(({ id }) => id < firstVisible).slice(1, 5);
  expect(above).toHaveLength(4);
  const [one, two, three, four] = above;
  await bob.api.messages.edit(one?.id ?? 0, 'longer\n'.repeat(9));
  await bob.api.messages.react(two?.id ?? 0, '👍');
  await bob.api.messages.delete(three?.id ?? 0);
  await bob.api.messages.edit(four?.id ?? 0, 'shorter');
  await expect(alice.page.locator(`[data-message="${four?.id}"]`)).toContainText('shorter');
  await waitUntilStill(alice);
  expect(Math.abs((await getTop(alice, firstVisible)) - before)).toBeLessThanOrEqual(1);
});

test('rule 5: a jump centres and highlights the message', async ({ createUser, createGroup, server }) => {
  const { alice, bob, chat } = await openHistory(createUser, createGroup, server, 600);
  const page = await bob.api.messages.list(chat, {
    around: (await bob.api.messages.list(chat, { limit: 1 })).items[0]?.id ?? 0,
  });
  const target = (page.items[0]?.id ?? 0) - 300;
  await alice.open(chat, target);
  const row = alice.page.locator(`[data-message="${target}"]`);
  await expect(row).toBeInViewport();
  await expect(row).toHaveAttribute('data-highlighted', 'true');
  await waitUntilStill(alice);
  const [box, log] = [await row.boundingBox(), await alice.log.boundingBox()];
  if (!box || !log) throw new Error('the message and the log must be visible');
  const middle = box.y + box.height / 2 - (log.y + log.height / 2);
  expect(Math.abs(middle)).toBeLessThan(60);
  const first = await findFirstVisible(alice.log);
  await scrollTo(alice.log, 0);
  await expect.poll(() => findFirstVisible(alice.log)).toBeLessThan(first - 20);
  await alice.page.getByRole('button', { name: 'Jump to latest' }).click();
  await expect(alice.message('message 600')).toBeInViewport();
});

test('a link to the first message loads its page once and shows it', async ({ createUser, createGroup, server }) => {
  const { alice, bob, chat } = await openHistory(createUser, createGroup, server, 600);
  const page = await bob.api.messages.list(chat, { limit: 1 });
  const first = (page.items[0]?.id ?? 0) - 599;
  const loads: string[] = [];
  alice.page.on('request', (request) => request.url().includes('around=') && loads.push(request.url()));
  await alice.open(chat, first);
  await expect(alice.page.locator(`[data-message="${first}"]`)).toHaveAttribute('data-highlighted', 'true');
  await waitUntilStill(alice);
  await expect(alice.page.locator(`[data-message="${first}"]`)).toBeInViewport({ ratio: 1 });
  expect(await alice.log.evaluate((scroller) => scroller.scrollTop)).toBe(0);
  expect(loads).toHaveLength(1);
});

test('rule 5b: paging forward from the past reaches the latest', async ({ createUser, createGroup, server }) => {
  const { alice, bob, chat } = await openHistory(createUser, createGroup, server, 260);
  const newest = (await bob.api.messages.list(chat, { limit: 1 })).items[0]?.id ?? 0;
  await alice.open(chat, newest - 200);
  await expect(alice.page.locator(`[data-message="${newest - 200}"]`)).toBeInViewport();
  for (let n = 0; n < 60; n += 1) {
    if (await alice.message('message 260').isVisible()) break;
    await alice.log.evaluate((scroller) => scroller.scrollBy(0, 900));
    await waitUntilStill(alice);
  }
  await expect(alice.message('message 260')).toBeVisible();
  await bob.client.messages.send(chat, { content: 'and then' });
  await expect(alice.message('and then')).toBeVisible();
});

test('rule 6: switching chats restores the scroll position', async ({ createUser, createGroup, server }) => {
  const { alice, bob, chat } = await openHistory(createUser, createGroup, server);
  const other = await createGroup(alice, bob);
  await scrollTo(alice.log, 700);
  await waitUntilStill(alice);
  const firstVisible = await findFirstVisible(alice.log);
  const before = await getTop(alice, firstVisible);
  const link = (id: number) => alice.page.locator(`nav a[href="/chats/${id}"]`);
  await link(other).click();
  await expect(alice.page.getByText('This is the beginning')).toBeVisible();
  await bob.client.messages.send(chat, { content: 'meanwhile' });
  await link(chat).click();
  await expect(alice.page.locator(`[data-message="${firstVisible}"]`)).toBeInViewport();
  await waitUntilStill(alice);
  expect(Math.abs((await getTop(alice, firstVisible)) - before)).toBeLessThanOrEqual(1);
});

test('rule 7: resizing the composer or window keeps the end', async ({ createUser, createGroup, server }) => {
  const { alice } = await openHistory(createUser, createGroup, server);
  await alice.composer.fill('one\ntwo\nthree\nfour\nfive\nsix');
  await waitUntilStill(alice);
  expect(await getDistanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
  await alice.page.setViewportSize({ width: 1280, height: 420 });
  await waitUntilStill(alice);
  expect(await getDistanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});

test('the unread marker stays until the user replies', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.client.messages.send(chat, { content: 'the first' });
  for (const content of ['unread one', 'unread two']) await bob.client.messages.send(chat, { content });
  await alice.open(chat);
  const line = alice.page.getByText('New', { exact: true });
  await expect(line).toBeVisible();
  await bob.client.messages.send(chat, { content: 'while it is open' });
  await expect(alice.message('while it is open')).toBeVisible();
  await expect(line).toHaveCount(1);
  await alice.send('an answer');
  await expect(line).toBeHidden();
});

test('the unread banner jumps to the first unread message', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const first = await bob.client.messages.send(chat, { content: 'read until here' });
  await alice.api.chats.markRead(chat, first.id);
  await insertMessages(server, chat, bob.me.id, 200);
  await alice.open(chat);
  await expect(alice.message('message 200')).toBeInViewport();
  await alice.page.getByRole('button', { name: /200 unread messages/ }).click();
  await expect(alice.message(/message 1$/)).toBeInViewport();
  await expect(alice.page.getByText('New', { exact: true })).toBeInViewport();
});

test('a chat that was never read opens from its first message', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(bob, alice);
  await insertMessages(server, chat, bob.me.id, 200);
  await alice.open(chat);
  await expect(alice.message('message 200')).toBeInViewport();
  await alice.page.getByRole('button', { name: /200 unread messages/ }).click();
  await expect(alice.message(/message 1$/)).toBeInViewport();
  await expect(alice.page.getByText('New', { exact: true })).toBeInViewport();
  await expect(alice.page.getByText(/beginning of/)).toBeInViewport();
});

test('fifty thousand messages render at most sixty rows', async ({ createUser, createGroup, server }) => {
  test.setTimeout(180_000);
  const { alice, chat } = await openHistory(createUser, createGroup, server, 50_000);
  const rows = () => alice.log.locator('[data-index]').count();
  expect(await rows()).toBeLessThanOrEqual(60);
  for (let page = 0; page < 40; page += 1) {
    await scrollTo(alice.log, 0);
    await expect(alice.log).toHaveAttribute('aria-busy', 'false');
    expect(await rows()).toBeLessThanOrEqual(60);
  }
  for (const fraction of [0, 0.25, 0.5, 0.75]) {
    const id = await sql(
      server,
      `select id from messages where chat_id = ${chat} order by id offset ${fraction * 50_000} limit 1`,
    );
    await alice.open(chat, Number(id));
    await expect(alice.message(new RegExp(`message ${fraction * 50_000 + 1}( |$)`))).toBeInViewport();
    expect(await rows()).toBeLessThanOrEqual(60);
  }
});

test('the page stays responsive at 200 messages per second', async ({ createUser, createGroup, server }) => {
  const { alice, chat } = await openHistory(createUser, createGroup, server);
  await alice.page.evaluate(() => {
    const longTasks = { long: 0, longest: 0, frames: 0 };
    Object.assign(globalThis, { longTasks });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        longTasks.long += duration;
        longTasks.longest = Math.max(longTasks.longest, duration);
      }
    }).observe({ entryTypes: ['longtask'] });
  });
  const startedAt = Date.now();
  for (let tick = 0; tick < 25; tick += 1) {
    const values = Array.from(
      { length: 40 },
      (_, n) =>
        `(${chat}, (select min(user_id) from chat_members where chat_id = ${chat} and user_id <> ${alice.me.id}), 'burst ${tick * 40 + n}')`,
    );
    await sql(server, `insert into messages (chat_id, sender_id, content) values ${values.join(',')}`);
    const remainingMs = startedAt + (tick + 1) * 200 - Date.now();
    if (remainingMs > 0) await new Promise((resolve) => setTimeout(resolve, remainingMs));
  }
  await expect(alice.message('burst 999')).toBeInViewport();
  const seconds = (Date.now() - startedAt) / 1_000;
  const longTasks = await alice.page.evaluate(
    () => (globalThis as unknown as { longTasks: { long: number; longest: number } }).longTasks,
  );
  console.log(
    `1,000 messages in ${seconds.toFixed(1)} s: ${Math.round(longTasks.long)} ms in long tasks, the longest ${Math.round(longTasks.longest)} ms`,
  );
  await waitUntilStill(alice);
  expect(await getDistanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});
