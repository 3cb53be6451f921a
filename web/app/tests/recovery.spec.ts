import type { Page } from '@playwright/test';
import { expect, sql, test } from './fixtures';

test('messages survive a server crash and arrive exactly once', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  await alice.send('before');
  await expect(bob.message('before')).toBeVisible();
  await server.kill();
  await alice.send('while nobody is there, one');
  await alice.send('while nobody is there, two');
  await expect(alice.message('nobody is there, two')).toContainText('two');
  await expect(alice.page.getByText('Reconnecting…')).toBeVisible();
  await expect(alice.page.getByText('Your messages are safe')).toBeVisible();
  await server.launch();
  for (const user of [alice, bob]) {
    await expect(user.message('nobody is there, two')).toBeVisible({ timeout: 40_000 });
    await expect(user.log.locator('[data-pending]')).toHaveCount(0);
    for (const text of ['before', 'nobody is there, one', 'nobody is there, two']) {
      await expect(user.message(text)).toHaveCount(1);
    }
    await expect(user.page.getByText('Reconnecting…')).toBeHidden();
  }
  const texts = await bob.log.getByRole('article').allInnerTexts();
  expect(texts.findIndex((text) => text.includes('one'))).toBeLessThan(texts.findIndex((text) => text.includes('two')));
});

test('offline messages are queued and missed ones are caught up', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  await alice.context.setOffline(true);
  await alice.send('from the tunnel');
  await bob.send('are you there?');
  await expect(alice.page.getByText("You're offline")).toBeVisible();
  await expect(alice.message('from the tunnel')).toHaveAttribute('data-pending', 'sending');
  await alice.context.setOffline(false);
  await expect(alice.message('are you there?')).toBeVisible();
  await expect(bob.message('from the tunnel')).toHaveCount(1);
  await expect(alice.log.locator('[data-pending]')).toHaveCount(0);
  await expect(alice.page.getByText("You're offline")).toBeHidden();
});

test('a pending message survives a page reload', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.page.route('**/messages', (route) =>
    route.request().method() === 'POST' ? route.abort() : route.continue(),
  );
  await alice.send('kept');
  await expect(alice.message('kept')).toHaveAttribute('data-pending', 'sending');
  await alice.page.unroute('**/messages');
  await alice.page.reload();
  await bob.open(chat);
  await expect(bob.message('kept')).toHaveCount(1);
  await expect(alice.log.locator('[data-pending]')).toHaveCount(0);
});

test('a rejected message shows the error and can be retried', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const rejectMessages = (status: number) =>
    alice.page.route('**/messages', (route) =>
      route.request().method() === 'POST'
        ? route.fulfill({ status, json: { code: 'forbidden', detail: 'not here, not now', status } })
        : route.continue(),
    );
  await rejectMessages(403);
  await alice.send('one');
  await alice.send('two');
  await expect(alice.message('one')).toContainText('not here, not now');
  await alice.message('two').getByRole('button', { name: 'Discard' }).click();
  await expect(alice.message('two')).toBeHidden();
  await alice.page.unroute('**/messages');
  await alice.message('one').getByRole('button', { name: 'Try again' }).click();
  await expect(alice.message('one')).toHaveCount(1);
  await expect(alice.log.locator('[data-pending]')).toHaveCount(0);
});

test('editing a rejected message keeps its file and its reply', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const question = await bob.client.messages.send(chat, { content: 'where is it?' });
  await alice.open(chat);
  await alice.page.route('**/messages', (route) =>
    route.request().method() === 'POST'
      ? route.fulfill({ status: 403, json: { code: 'forbidden', detail: 'not now', status: 403 } })
      : route.continue(),
  );
  await alice.message('where is it?').hover();
  await alice.message('where is it?').getByRole('button', { name: 'Reply' }).click();
  const file = { name: 'map.txt', mimeType: 'text/plain', buffer: Buffer.from('here') };
  await alice.page.locator('input[type="file"]').setInputFiles(file);
  await expect(alice.page.getByText('4 B')).toBeVisible();
  await alice.send('on the map');
  await alice.message('on the map').getByRole('button', { name: 'Edit' }).click();
  await expect(alice.log.locator('[data-pending]')).toHaveCount(0);
  await expect(alice.page.getByText('1 file')).toBeVisible();
  await alice.page.unroute('**/messages');
  await alice.composer.press('Enter');
  await expect(alice.message('on the map')).toHaveCount(1);
  await expect
    .poll(async () => (await bob.api.messages.list(chat)).items[0])
    .toMatchObject({
      content: 'on the map',
      reply_to: question.id,
      files: [{ filename: 'map.txt' }],
    });
});

test('a dropped connection recovers before the banner appears', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.page.goto(`${alice.url}/debug`);
  await expect(alice.page.getByTestId('state')).toHaveText('live');
  await alice.page.getByRole('button', { name: 'Drop connection' }).click();
  await expect(alice.page.getByText('live → waiting')).toBeVisible();
  await expect(alice.page.getByTestId('state')).toHaveText('live');
  await bob.client.messages.send(chat, { content: 'after it' });
  await expect(alice.page.getByText('message.new', { exact: true })).toBeVisible();
  await expect(alice.page.getByText('Reconnecting…')).toBeHidden();
});

for (const transport of ['sse', 'eventsource', 'websocket']) {
  test(`events resume after a reconnect over ${transport}`, async ({ createUser, createGroup, server }) => {
    const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
    const chat = await createGroup(alice, bob);
    await alice.page.goto(`${alice.url}/debug`);
    await alice.page.getByLabel('Transport').selectOption(transport);
    await expect(alice.page.getByLabel('Transport')).toHaveValue(transport);
    await alice.open(chat);
    await bob.client.messages.send(chat, { content: 'heard' });
    await expect(alice.message('heard')).toHaveCount(1);
    await server.kill();
    await server.launch();
    await bob.client.messages.send(chat, { content: 'heard again' });
    await expect(alice.message('heard again')).toHaveCount(1, { timeout: 40_000 });
    await expect(alice.message('heard')).toHaveCount(2);
  });
}

test('nine tabs without TLS each keep their own connection', async ({ browser, server }) => {
  test.setTimeout(120_000);
  const context = await browser.newContext();
  const url = server.url.replace('127.0.0.1', 'plain.test');
  const first = await context.newPage();
  await first.goto(url);
  await first.getByRole('button', { name: /^Dave/ }).click();
  await first.getByRole('link', { name: /general/ }).click();
  expect(await first.evaluate(() => [isSecureContext, 'randomUUID' in crypto, 'locks' in navigator])).toEqual([
    false,
    false,
    false,
  ]);
  const tabs = [first];
  while (tabs.length < 9) {
    const tab = await context.newPage();
    await tab.goto(url);
    await tab.getByRole('link', { name: /general/ }).click();
    await expect(tab.getByRole('log')).toBeVisible();
    tabs.push(tab);
  }
  await first.getByRole('combobox', { name: /^Message/ }).fill('without TLS');
  await first.keyboard.press('Enter');
  for (const tab of tabs) await expect(tab.getByRole('article').filter({ hasText: 'without TLS' })).toHaveCount(1);
  await context.close();
});

test('eight tabs share one stream and fail over without loss', async ({ createUser, createGroup }) => {
  test.setTimeout(120_000);
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  let streams = 0;
  alice.context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/events') streams += 1;
  });
  const tabs = [alice.page];
  while (tabs.length < 8) tabs.push(await alice.context.newPage());
  for (const tab of tabs) {
    await tab.goto(`${alice.url}/chats/${chat}`);
    await expect.poll(() => streams, 'only the first tab opens a stream').toBe(1);
  }
  await bob.client.messages.send(chat, { content: 'to all' });
  for (const tab of tabs) await expect(tab.getByRole('article').filter({ hasText: 'to all' })).toHaveCount(1);
  expect(streams).toBe(1);
  await tabs.shift()?.close();
  await bob.client.messages.send(chat, { content: 'to those who are left' });
  for (const tab of tabs)
    await expect(tab.getByRole('article').filter({ hasText: 'to those who are left' })).toHaveCount(1);
  expect(streams).toBe(2);
});

test('a frozen leader tab is replaced within the timeout', async ({ createUser, createGroup }) => {
  test.setTimeout(90_000);
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const [leaderTab, followerTab] = [alice.page, await alice.context.newPage()];
  for (const tab of [leaderTab, followerTab]) {
    await tab.goto(`${alice.url}/chats/${chat}`);
    await expect(tab.getByText('beginning of')).toBeVisible();
  }
  const messageIn = (tab: Page, text: string) => tab.getByRole('article').filter({ hasText: text });
  const devtools = await alice.context.newCDPSession(leaderTab);
  await devtools.send('Debugger.enable');
  await devtools.send('Debugger.pause');
  await bob.client.messages.send(chat, { content: 'while one sleeps' });
  await expect(messageIn(followerTab, 'while one sleeps')).toHaveCount(1, { timeout: 30_000 });
  await devtools.send('Debugger.disable');
  await bob.client.messages.send(chat, { content: 'when all are awake' });
  for (const tab of [leaderTab, followerTab]) {
    for (const text of ['while one sleeps', 'when all are awake']) {
      await expect(messageIn(tab, text)).toHaveCount(1, { timeout: 20_000 });
    }
  }
});

test('a session revoked elsewhere signs the page out', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await expect(alice.composer).toBeVisible();
  for (const session of await alice.api.me.listSessions()) {
    if (!session.current) await alice.api.me.revokeSession(session.id);
  }
  await expect(alice.page.getByRole('button', { name: 'Sign in' })).toBeVisible({ timeout: 20_000 });
  await expect(alice.log).toBeHidden();
});

test('an upload broken by a server crash can be retried', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.page.route('**/api/upload', async (route) => {
    await server.kill();
    await route.continue();
  });
  const file = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.alloc(200_000, 'a') };
  await alice.page.locator('input[type=file]').setInputFiles(file);
  const tray = alice.page.getByRole('list', { name: 'Files to send' });
  await expect(tray.getByRole('alert')).toContainText('interrupted');
  await alice.send('with the notes');
  await expect(alice.page.getByText('Upload failed')).toBeVisible();
  await alice.page.unroute('**/api/upload');
  await server.launch();
  await tray.getByRole('button', { name: 'Try again' }).click();
  await expect(tray.getByRole('alert')).toBeHidden();
  await alice.composer.press('Enter');
  await expect(alice.message('with the notes')).toContainText('notes.txt');
});

test('a reset reloads the state and the open chat, with a retry', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const { id } = await bob.client.messages.send(chat, { content: 'before the reset' });
  await alice.open(chat);
  await expect(alice.message('before the reset')).toBeVisible();
  await expect.poll(async () => (await bob.api.messages.listReceipts(id)).items[0]?.read_at).toBeTruthy();
  let refusalCount = 0;
  await alice.page.route('**/api/bootstrap', (route) => {
    refusalCount += 1;
    return refusalCount === 1 ? route.fulfill({ status: 503 }) : route.continue();
  });
  // A new epoch: missed events cannot be replayed.
  await sql(server, 'truncate events restart identity');
  await expect.poll(() => refusalCount, { timeout: 30_000 }).toBeGreaterThan(1);
  await expect(alice.message('before the reset')).toBeVisible();
  await expect(async () => {
    await bob.api.chats.sendTyping(chat);
    await expect(alice.page.getByText('Bob is typing')).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await bob.client.messages.send(chat, { content: 'after the reset' });
  await expect(alice.message('after the reset')).toHaveCount(1);
});

test('a message sent before the chat loads is kept', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'read late' });
  await alice.page.route('**/messages?*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await route.continue();
  });
  await alice.page.route('**/messages', (route) =>
    route.request().method() === 'POST'
      ? route.fulfill({ status: 403, json: { code: 'forbidden', detail: 'not now', status: 403 } })
      : route.continue(),
  );
  await alice.open(chat);
  await alice.send('hasty');
  await expect(alice.message('hasty')).toContainText('not now');
  await expect(alice.message('read late')).toBeVisible();
  await alice.page.reload();
  await expect(alice.message('hasty')).toContainText('not now');
  await alice.message('hasty').getByRole('button', { name: 'Edit' }).click();
  await expect(alice.composer).toHaveValue('hasty');
  await expect(alice.message('hasty')).toBeHidden();
});

test('a chunk that failed to load is retried with its styles', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const assetPattern = /\/assets\/(OpenMenu|Menu\.module|ModalRoot|lists|Dialog)[^/]*$/;
  await alice.page.route(assetPattern, (route) => route.abort());
  await alice.open(chat);
  const accountButton = alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ });
  await accountButton.click();
  await expect(alice.page.getByText("This didn't load")).toBeVisible();
  await expect(accountButton).toBeVisible();
  await alice.page.getByRole('button', { name: 'Settings' }).click();
  await expect(alice.page.getByText("This part didn't load")).toBeVisible();
  await alice.page.unroute(assetPattern);
  await alice.page.getByRole('button', { name: 'Try again' }).click();
  await expect(alice.page.getByRole('dialog')).toHaveCSS('position', 'fixed');
  await alice.page.keyboard.press('Escape');
  await accountButton.click();
  await expect(alice.page.getByRole('menu')).not.toHaveCSS('box-shadow', 'none');
  await alice.page.keyboard.press('Escape');
  // A menu that failed to load leaves no row locked.
  await alice.sendStored('said');
  await alice.message('said').hover();
  await expect(alice.page.getByRole('toolbar')).toBeVisible();
});

test('a chat opened while offline loads after the reconnect', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'said before' });
  await alice.page.goto(alice.url);
  await expect(alice.page.locator(`a[href="/chats/${chat}"]`)).toBeVisible();
  await alice.context.setOffline(true);
  await alice.page.locator(`a[href="/chats/${chat}"]`).click();
  await expect(alice.page.getByText('cannot be reached')).toBeVisible();
  // A chunk that failed to load does not break the rest of the page.
  await alice.page.getByRole('button', { name: 'Search' }).click();
  await expect(alice.page.getByText("This part didn't load")).toBeVisible();
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await alice.context.setOffline(false);
  await alice.page.getByRole('main').getByRole('button', { name: 'Try again' }).last().click();
  await expect(alice.page.getByRole('combobox', { name: 'Search messages' })).toBeVisible();
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await expect(alice.page.getByRole('menuitem', { name: 'Busy' })).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await bob.client.messages.send(chat, { content: 'said after' });
  await expect(alice.message('said before')).toBeVisible();
  await expect(alice.message('said after')).toBeVisible();
});
