import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { TestServer } from '../../sdk/test/server';
import { expect, insertMessages, test } from './fixtures';

/** Waits until the service worker serves the page, and has stored the files of the build. */
async function waitForBuild(page: Page): Promise<void> {
  await expect
    .poll(
      () =>
        page.evaluate(async () => {
          const names = (await caches.keys()).filter((name) => name.startsWith('confab-build-'));
          const pages = await Promise.all(names.map(async (name) => (await caches.open(name)).match('/')));
          return navigator.serviceWorker.controller !== null && pages.some((page) => page !== undefined);
        }),
      { timeout: 20_000 },
    )
    .toBe(true);
}

/** How many snapshots of accounts the device has. */
function countSnapshots(page: Page): Promise<number> {
  return page.evaluate(async () => (await (await caches.open('confab-snapshots')).keys()).length);
}

test('a page that opens without a server shows what was seen, and sends later', async ({
  createUser,
  createGroup,
  server,
}) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await insertMessages(server, chat, bob.me.id, 80);
  await bob.client.messages.send(chat, { content: 'seen before' });
  await alice.open(chat);
  await expect(alice.message('seen before')).toBeVisible();
  await waitForBuild(alice.page);
  await expect.poll(() => countSnapshots(alice.page), { timeout: 20_000 }).toBe(1);
  await server.kill();
  await alice.page.reload();
  await expect(alice.message('seen before')).toBeVisible();
  await expect(alice.page.getByText('No connection. Last updated')).toBeVisible();
  await alice.send('written in the tunnel');
  await expect(alice.message('written in the tunnel')).toHaveAttribute('data-pending', 'sending');
  await expect(alice.message('written in the tunnel')).toBeInViewport();
  await alice.page.screenshot({ path: '../../screenshots/offline.png' });
  await server.launch();
  await expect(alice.log.locator('[data-pending]')).toHaveCount(0, { timeout: 40_000 });
  await expect(alice.page.getByText('No connection.')).toBeHidden();
  await expect(alice.message('written in the tunnel')).toHaveCount(1);
  const { items } = await bob.api.messages.list(chat);
  expect(items.filter(({ content }) => content === 'written in the tunnel')).toHaveLength(1);
});

test('an account that signs out leaves nothing on the device', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice');
  await alice.open(await createGroup(alice));
  await alice.send('a secret');
  await expect(alice.message('a secret')).toBeVisible();
  await expect.poll(() => countSnapshots(alice.page), { timeout: 20_000 }).toBe(1);
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await alice.page.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(alice.page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await expect.poll(() => countSnapshots(alice.page)).toBe(0);
});

test('a page that is older than its server still works, and offers to reload', async ({ browser }) => {
  const folder = await mkdtemp(join(tmpdir(), 'confab-web-'));
  await cp(new URL('../dist', import.meta.url).pathname, folder, { recursive: true });
  const server = await TestServer.start({ CHAT_WEB_DIR: folder }, null);
  const page = await (await browser.newContext()).newPage();
  try {
    await page.goto(server.url);
    await page.getByRole('button', { name: /Alice/ }).click();
    await page.getByRole('link', { name: /team/ }).click();
    await waitForBuild(page);
    // The next build has other names for all scripts.
    await server.kill();
    const [assets, index] = [join(folder, 'assets'), join(folder, 'index.html')];
    const html = await readFile(index, 'utf8');
    await writeFile(index, html.replaceAll(/index-[\w-]+\.js/g, 'index-of-the-next-build.js'));
    await rm(`${index}.gz`);
    await rm(`${index}.br`);
    for (const name of await readdir(assets)) if (name.startsWith('Emoji')) await rm(join(assets, name));
    await server.launch();
    await expect(page.getByText('A new version of Confab is here.')).toBeVisible({ timeout: 40_000 });
    await page.getByRole('button', { name: 'Emoji' }).first().click();
    await expect(page.getByRole('searchbox', { name: 'Search emoji' })).toBeVisible();
    await page.screenshot({ path: '../../screenshots/update.png' });
  } finally {
    await page.context().close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
