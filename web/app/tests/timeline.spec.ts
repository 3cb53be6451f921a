import type { Message } from '@confab/sdk';
import type { Locator } from '@playwright/test';
import { expect, fill, type Person, sql, test } from './world';

/** Where a message stands on the screen, in pixels from the top. */
const topOf = (person: Person, id: number) =>
  person.page.locator(`[data-message="${id}"]`).evaluate((row) => row.getBoundingClientRect().top);

/** The first message that is wholly seen. */
const firstSeen = (log: Locator) =>
  log.evaluate((scroller) => {
    const top = scroller.getBoundingClientRect().top;
    const rows = [...scroller.querySelectorAll<HTMLElement>('[data-message]')];
    return Number(rows.find((row) => row.getBoundingClientRect().top >= top)?.dataset.message);
  });

/** How far the end is, in pixels. */
const distanceFromEnd = (log: Locator) =>
  log.evaluate((scroller) => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight);

const scrollTo = (log: Locator, top: number) => log.evaluate((scroller, to) => scroller.scrollTo(0, to), top);

/** Waits until nothing on the screen has moved for a while. */
async function settled(person: Person): Promise<void> {
  await person.page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const scroller = document.querySelector('[role=log]');
        let [still, last] = [0, ''];
        const look = () => {
          const now = `${scroller?.scrollTop} ${scroller?.scrollHeight} ${scroller?.getAttribute('aria-busy')}`;
          still = now === last ? still + 1 : 0;
          last = now;
          if (still > 15) resolve();
          else requestAnimationFrame(look);
        };
        look();
      }),
  );
}

/** Somebody in a chat with a history, scrolled up into it, and somebody else to write there. */
async function reader(
  person: (name: string) => Promise<Person>,
  group: (...of: [Person, Person]) => Promise<number>,
  server: Parameters<typeof fill>[0],
  many = 120,
) {
  const [alice, bob] = [await person('Alice'), await person('Bob')];
  const chat = await group(alice, bob);
  await fill(server, chat, bob.me.id, many);
  await alice.api.chats.read(chat, (await alice.api.messages.list(chat)).items[0]?.id ?? 0);
  await alice.open(chat);
  await expect(alice.message(`message ${many}`).last()).toBeInViewport();
  await settled(alice);
  return { alice, bob, chat, say: (content: string): Promise<Message> => bob.client.messages.send(chat, { content }) };
}

test('rule 1: at the end, what is new and what grows keeps the end in sight', async ({ person, group, server }) => {
  const { alice, bob, say } = await reader(person, group, server);
  for (let n = 0; n < 20; n += 1) await say(`new ${n}${' and long'.repeat(n * 8)}`);
  const last = await say('the last');
  await expect(alice.message('the last')).toBeInViewport();
  await settled(alice);
  expect(await distanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
  await bob.api.messages.edit(last.id, 'the last, but longer\n'.repeat(12));
  await expect(alice.message('but longer')).toBeVisible();
  await settled(alice);
  expect(await distanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});

test('rule 2: scrolled up, what is new moves nothing, and is told by a pill', async ({ person, group, server }) => {
  const { alice, say } = await reader(person, group, server);
  await scrollTo(alice.log, 400);
  await settled(alice);
  const seen = await firstSeen(alice.log);
  const before = await topOf(alice, seen);
  for (let n = 0; n < 5; n += 1) await say(`new ${n}`);
  const pill = alice.page.getByRole('button', { name: '5 new messages' });
  await expect(pill).toBeVisible();
  await settled(alice);
  expect(await topOf(alice, seen)).toBe(before);
  await pill.click();
  await expect(alice.message('new 4')).toBeInViewport();
  await expect(pill).toBeHidden();
});

test('rule 3: an older page above moves nothing', async ({ person, group, server }) => {
  const { alice } = await reader(person, group, server, 400);
  for (let page = 0; page < 3; page += 1) {
    const height = await alice.log.evaluate((scroller) => scroller.scrollHeight);
    // The page comes when it is told to: after one has looked.
    let come = () => {};
    const told = new Promise<void>((resolve) => {
      come = resolve;
    });
    await alice.page.route('**/messages?before=*', async (route) => {
      await told;
      await route.continue();
    });
    await scrollTo(alice.log, 60);
    await expect(alice.log).toHaveAttribute('aria-busy', 'true');
    const seen = await firstSeen(alice.log);
    const before = await topOf(alice, seen);
    come();
    await expect.poll(() => alice.log.evaluate((scroller) => scroller.scrollHeight)).toBeGreaterThan(height + 500);
    await settled(alice);
    expect(Math.abs((await topOf(alice, seen)) - before)).toBeLessThanOrEqual(1);
    await alice.page.unroute('**/messages?before=*');
  }
});

test('rule 4: what changes above moves nothing', async ({ person, group, server }) => {
  const { alice, bob, chat } = await reader(person, group, server);
  const messages = (await bob.api.messages.list(chat, { limit: 100 })).items;
  await scrollTo(alice.log, 1_500);
  await settled(alice);
  const seen = await firstSeen(alice.log);
  const before = await topOf(alice, seen);
  // The nearest may be seen in part, and then it grows downwards.
  const above = messages.filter(({ id }) => id < seen).slice(1, 5);
  expect(above).toHaveLength(4);
  const [one, two, three, four] = above;
  await bob.api.messages.edit(one?.id ?? 0, 'longer\n'.repeat(9));
  await bob.api.messages.react(two?.id ?? 0, '👍');
  await bob.api.messages.remove(three?.id ?? 0);
  await bob.api.messages.edit(four?.id ?? 0, 'shorter');
  await expect(alice.page.locator(`[data-message="${four?.id}"]`)).toContainText('shorter');
  await settled(alice);
  expect(Math.abs((await topOf(alice, seen)) - before)).toBeLessThanOrEqual(1);
});

test('rule 5: a message that is gone to is in the middle, marked, and there is more both ways', async ({
  person,
  group,
  server,
}) => {
  const { alice, bob, chat } = await reader(person, group, server, 600);
  const page = await bob.api.messages.list(chat, {
    around: (await bob.api.messages.list(chat, { limit: 1 })).items[0]?.id ?? 0,
  });
  const target = (page.items[0]?.id ?? 0) - 300;
  await alice.open(chat, target);
  const row = alice.page.locator(`[data-message="${target}"]`);
  await expect(row).toBeInViewport();
  await expect(row).toHaveAttribute('data-marked', 'true');
  await settled(alice);
  const [box, log] = [await row.boundingBox(), await alice.log.boundingBox()];
  if (!box || !log) throw new Error('both are on the screen');
  const middle = box.y + box.height / 2 - (log.y + log.height / 2);
  expect(Math.abs(middle)).toBeLessThan(60);
  const first = await firstSeen(alice.log);
  await scrollTo(alice.log, 0);
  await expect.poll(() => firstSeen(alice.log)).toBeLessThan(first - 20);
  await alice.page.getByRole('button', { name: 'To the present' }).click();
  await expect(alice.message('message 600')).toBeInViewport();
});

test('rule 5, further: from the past, page by page, one comes to the present', async ({ person, group, server }) => {
  const { alice, bob, chat } = await reader(person, group, server, 260);
  const newest = (await bob.api.messages.list(chat, { limit: 1 })).items[0]?.id ?? 0;
  await alice.open(chat, newest - 200);
  await expect(alice.page.locator(`[data-message="${newest - 200}"]`)).toBeInViewport();
  for (let n = 0; n < 60; n += 1) {
    if (await alice.message('message 260').isVisible()) break;
    await alice.log.evaluate((scroller) => scroller.scrollBy(0, 900));
    await settled(alice);
  }
  await expect(alice.message('message 260')).toBeVisible();
  await bob.client.messages.send(chat, { content: 'and then' });
  await expect(alice.message('and then')).toBeVisible();
});

test('rule 6: another chat and back is where one was', async ({ person, group, server }) => {
  const { alice, bob, chat } = await reader(person, group, server);
  const other = await group(alice, bob);
  await scrollTo(alice.log, 700);
  await settled(alice);
  const seen = await firstSeen(alice.log);
  const before = await topOf(alice, seen);
  const link = (id: number) => alice.page.locator(`nav a[href="/chats/${id}"]`);
  await link(other).click();
  await expect(alice.page.getByText('This is the beginning')).toBeVisible();
  await bob.client.messages.send(chat, { content: 'meanwhile' });
  await link(chat).click();
  await expect(alice.page.locator(`[data-message="${seen}"]`)).toBeInViewport();
  await settled(alice);
  expect(Math.abs((await topOf(alice, seen)) - before)).toBeLessThanOrEqual(1);
});

test('rule 7: a composer that grows, or a window that shrinks, keeps the end in sight', async ({
  person,
  group,
  server,
}) => {
  const { alice } = await reader(person, group, server);
  await alice.composer.fill('one\ntwo\nthree\nfour\nfive\nsix');
  await settled(alice);
  expect(await distanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
  await alice.page.setViewportSize({ width: 1280, height: 420 });
  await settled(alice);
  expect(await distanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});

test('what is unread has a line that stays, and goes with an answer', async ({ person, group }) => {
  const [alice, bob] = [await person('Alice'), await person('Bob')];
  const chat = await group(alice, bob);
  await alice.client.messages.send(chat, { content: 'the first' });
  for (const content of ['unread one', 'unread two']) await bob.client.messages.send(chat, { content });
  await alice.open(chat);
  const line = alice.page.getByText('New', { exact: true });
  await expect(line).toBeVisible();
  await bob.client.messages.send(chat, { content: 'while it is open' });
  await expect(alice.message('while it is open')).toBeVisible();
  await expect(line).toHaveCount(1);
  await alice.say('an answer');
  await expect(line).toBeHidden();
});

test('what is unread further up can be gone to', async ({ person, group, server }) => {
  const [alice, bob] = [await person('Alice'), await person('Bob')];
  const chat = await group(alice, bob);
  const first = await bob.client.messages.send(chat, { content: 'read until here' });
  await alice.api.chats.read(chat, first.id);
  await fill(server, chat, bob.me.id, 200);
  await alice.open(chat);
  await expect(alice.message('message 200')).toBeInViewport();
  await alice.page.getByRole('button', { name: /200 unread messages/ }).click();
  await expect(alice.message(/message 1$/)).toBeInViewport();
  await expect(alice.page.getByText('New', { exact: true })).toBeInViewport();
});

test('a chat that was never read is begun at its beginning', async ({ person, group, server }) => {
  const [alice, bob] = [await person('Alice'), await person('Bob')];
  const chat = await group(bob, alice);
  await fill(server, chat, bob.me.id, 200);
  await alice.open(chat);
  await expect(alice.message('message 200')).toBeInViewport();
  await alice.page.getByRole('button', { name: /200 unread messages/ }).click();
  await expect(alice.message(/message 1$/)).toBeInViewport();
  await expect(alice.page.getByText('New', { exact: true })).toBeInViewport();
  await expect(alice.page.getByText(/beginning of/)).toBeInViewport();
});

test('fifty thousand messages are a few dozen rows, wherever one is', async ({ person, group, server }) => {
  test.setTimeout(180_000);
  const { alice, chat } = await reader(person, group, server, 50_000);
  const rows = () => alice.log.locator('[data-index]').count();
  expect(await rows()).toBeLessThanOrEqual(60);
  for (let page = 0; page < 40; page += 1) {
    await scrollTo(alice.log, 0);
    await expect(alice.log).toHaveAttribute('aria-busy', 'false');
    expect(await rows()).toBeLessThanOrEqual(60);
  }
  for (const share of [0, 0.25, 0.5, 0.75]) {
    const id = await sql(
      server,
      `select id from messages where chat_id = ${chat} order by id offset ${share * 50_000} limit 1`,
    );
    await alice.open(chat, Number(id));
    await expect(alice.message(new RegExp(`message ${share * 50_000 + 1}( |$)`))).toBeInViewport();
    expect(await rows()).toBeLessThanOrEqual(60);
  }
});

test('a burst of two hundred messages a second leaves the page at hand', async ({ person, group, server }) => {
  const { alice, chat } = await reader(person, group, server);
  await alice.page.evaluate(() => {
    const seen = { long: 0, longest: 0, frames: 0 };
    Object.assign(globalThis, { seen });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        seen.long += duration;
        seen.longest = Math.max(seen.longest, duration);
      }
    }).observe({ entryTypes: ['longtask'] });
  });
  const begun = Date.now();
  for (let tick = 0; tick < 25; tick += 1) {
    const values = Array.from(
      { length: 40 },
      (_, n) =>
        `(${chat}, (select min(user_id) from chat_members where chat_id = ${chat} and user_id <> ${alice.me.id}), 'burst ${tick * 40 + n}')`,
    );
    await sql(server, `insert into messages (chat_id, sender_id, content) values ${values.join(',')}`);
    const ahead = begun + (tick + 1) * 200 - Date.now();
    if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
  }
  await expect(alice.message('burst 999')).toBeInViewport();
  const seconds = (Date.now() - begun) / 1_000;
  const seen = await alice.page.evaluate(
    () => (globalThis as unknown as { seen: { long: number; longest: number } }).seen,
  );
  console.log(
    `1,000 messages in ${seconds.toFixed(1)} s: ${Math.round(seen.long)} ms in long tasks, the longest ${Math.round(seen.longest)} ms`,
  );
  await settled(alice);
  expect(await distanceFromEnd(alice.log)).toBeLessThanOrEqual(1);
});
