import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestServer } from '../../sdk/test/server';
import { test as base, expect } from './fixtures';
import { StandIn } from './standIn';

interface GoogleMessage {
  readonly text: string;
  readonly sender: { readonly type: string };
  readonly deleteTime?: string;
}

/** The texts of the app in the space. */
async function readTexts(google: StandIn): Promise<string[]> {
  const spaces = await google.messages<Record<string, readonly GoogleMessage[]>>();
  const all = Object.values(spaces).flat();
  return all.filter(({ sender, deleteTime }) => sender.type === 'BOT' && !deleteTime).map(({ text }) => text);
}

const test = base.extend<object, { readonly google: StandIn; readonly server: TestServer }>({
  google: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the required fixtures from this parameter
    async ({}, use) => {
      const keyFile = join(tmpdir(), `google-key-${process.pid}.json`);
      const google = await StandIn.start('google_api', '--key-file', keyFile);
      await use(google);
      google.process.kill();
      rmSync(keyFile);
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ google }, use) => {
      const server = await TestServer.start({
        GOOGLE_CHAT_URL: google.url,
        GOOGLE_TOKEN_URL: `${google.url}/token`,
        GOOGLE_KEYS_URL: google.url,
      });
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],
});

test('the people of a space at Google Chat and the owner of a bridge talk', async ({ google, server, createUser }) => {
  const alice = await createUser('Alice');
  const { page } = alice;
  await page.goto(server.url);
  await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('tab', { name: 'Bots and programs' }).click();
  const bridges = page.getByRole('region', { name: 'Bridges' });
  await bridges.getByLabel('Network').selectOption('Google Chat');
  await bridges.getByLabel('Name of a new bridge').fill('Office');
  await bridges.getByLabel('Project number').fill('corner-shop');
  await bridges.getByLabel('Key file of the service account').setInputFiles(google.account.get('key file') ?? '');
  await bridges.getByRole('button', { name: 'Create bridge' }).click();
  await expect(bridges.getByRole('alert').last()).toContainText('6 to 20 digits');
  await bridges.getByLabel('Project number').fill(google.account.get('project number') ?? '');
  await bridges.getByRole('button', { name: 'Create bridge' }).click();
  const webhook = await bridges.getByText(/\/in\/google-chat\/\d+\/[\w-]+$/).innerText();
  // The settings follow the state of the bridge.
  await expect(bridges.getByText('Connected', { exact: true })).toBeVisible();
  await expect(bridges.getByLabel('Space')).toContainText('Plans');
  await bridges.getByLabel('Space').scrollIntoViewIfNeeded();
  await page.screenshot({ path: '../../screenshots/google-chat-settings.png' });
  await bridges.getByRole('button', { name: 'Connect space' }).click();
  await expect(page).toHaveURL(/\/chats\/\d+/);

  // Two people write: one by a webhook, one whom the server finds by itself.
  await google.post('/person/say', { text: 'Who comes *today*?', webhook });
  await expect(alice.message('Who comes today?')).toContainText('Google Chat');
  await google.post('/person/say', { text: 'I do', name: 'Frank' });
  await expect(alice.message('I do')).toContainText('Frank', { timeout: 15_000 });
  await alice.send('Me **too**');
  await expect.poll(() => readTexts(google)).toEqual(['*Alice*: Me *too*']);
  await page.screenshot({ path: '../../screenshots/google-chat.png' });

  // The owner pauses the chat in the settings, and lets it go on.
  await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('tab', { name: 'Bots and programs' }).click();
  await bridges.getByRole('button', { name: 'Actions for Office' }).click();
  await page.getByRole('menuitem', { name: 'Show connected chats' }).click();
  const connected = bridges.getByRole('list', { name: 'Connected chats' }).getByRole('listitem');
  await expect(connected).toContainText('Plans');
  await connected.getByRole('button', { name: 'Actions for Plans' }).click();
  await page.getByRole('menuitem', { name: 'Pause' }).click();
  await expect(connected).toContainText('Paused');
  await connected.scrollIntoViewIfNeeded();
  await page.screenshot({ path: '../../screenshots/google-chat-connected.png' });
  await connected.getByRole('button', { name: 'Actions for Plans' }).click();
  await page.getByRole('menuitem', { name: 'Continue' }).click();
  await expect(connected).not.toContainText('Paused');
  await connected.getByRole('button', { name: 'Open chat' }).click();

  // What Alice deletes is deleted there.
  const { items } = await alice.api.messages.list(Number(/\d+$/.exec(page.url())?.[0]));
  const own = items.find(({ content }) => content === 'Me **too**');
  await alice.api.messages.delete(own?.id ?? 0);
  await expect.poll(() => readTexts(google)).toEqual([]);
});
