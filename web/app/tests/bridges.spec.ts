import { TestServer } from '../../sdk/test/server';
import { test as base, expect } from './fixtures';
import { StandIn } from './standIn';

/** The texts that the person on WhatsApp received. */
async function readTexts(graph: StandIn): Promise<string[]> {
  const messages = await graph.messages<Record<string, never>[]>();
  return messages.flatMap((message) => {
    const text = (message.text as { readonly body?: string } | undefined)?.body;
    return text === undefined ? (message.template ? ['template'] : []) : [text];
  });
}

const test = base.extend<object, { readonly graph: StandIn; readonly server: TestServer }>({
  graph: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the required fixtures from this parameter
    async ({}, use) => {
      const graph = await StandIn.start('graph_api');
      await use(graph);
      graph.process.kill();
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ graph }, use) => {
      const server = await TestServer.start({ GRAPH_URL: graph.url });
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],
});

test('a person on WhatsApp and the owner of a bridge talk', async ({ graph, server, createUser }) => {
  const alice = await createUser('Alice');
  const { page } = alice;
  await page.goto(server.url);
  const openSettings = async () => {
    await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('tab', { name: 'Bots and programs' }).click();
  };
  await openSettings();
  const bridges = page.getByRole('region', { name: 'Bridges' });
  const fill = (label: string, value: string | undefined) => bridges.getByLabel(label).fill(value ?? '');
  await fill('Name of a new bridge', 'Corner shop');
  await fill('Phone number ID', graph.account.get('phone number ID'));
  await fill('WhatsApp Business Account ID', graph.account.get('WhatsApp Business Account ID'));
  await fill('Access token', 'two words');
  await fill('App secret', graph.account.get('app secret'));
  await bridges.getByRole('button', { name: 'Create bridge' }).click();
  await expect(bridges.getByRole('alert').last()).toContainText('visible ASCII');
  await fill('Access token', graph.account.get('access token'));
  await bridges.getByRole('button', { name: 'Create bridge' }).click();
  const webhook = await bridges.getByText(/\/in\/whatsapp\/\d+$/).innerText();
  expect(webhook).toContain(server.url);
  await expect.poll(async () => (await alice.api.bridges.list())[0]?.state).toBe('connected');
  await page.keyboard.press('Escape');

  // The person writes first.
  expect((await graph.post('/person/say', { webhook, text: 'Is the shop *open*?' })).ok).toBe(true);
  await page.getByRole('navigation').getByRole('link', { name: /Eve/ }).click();
  const question = alice.message('Is the shop open?');
  await expect(question).toContainText('WhatsApp');
  await alice.send('Until **eight**');
  await expect.poll(() => readTexts(graph)).toContain('*Alice*: Until *eight*');
  const answer = alice.message('Until eight');
  await expect(answer).toContainText('Delivered');
  await graph.post('/person/say', { webhook, text: 'Thanks' });
  await expect(answer).toContainText('Read by Eve');
  await page.screenshot({ path: '../../screenshots/bridge-chat.png' });

  // The day has passed: only a template opens the conversation again.
  await graph.post('/person/refuse', { status: 400, code: 131047 });
  await alice.send('Too late');
  await expect(alice.message('Too late')).toContainText('Not delivered on WhatsApp');
  await page.reload();
  await expect(alice.message('Too late')).toContainText('131047');
  await page.getByRole('button', { name: 'Send a template' }).click();
  await page.getByLabel('Value 1').fill('Eve');
  await page.getByLabel('Value 2').fill('42');
  await page.screenshot({ path: '../../screenshots/bridge-template.png' });
  await page.getByRole('button', { name: 'Send template' }).click();
  await expect(alice.message('Hello Eve, your order 42 is ready.')).toBeVisible();
  await expect.poll(() => readTexts(graph)).toContain('template');

  // What was given up is sent again.
  await openSettings();
  await bridges.getByRole('button', { name: 'Actions for Corner shop' }).click();
  await page.getByRole('menuitem', { name: 'Show failed messages' }).click();
  await page.screenshot({ path: '../../screenshots/bridge-settings.png' });
  await bridges.getByRole('button', { name: 'Send again' }).click();
  await expect.poll(() => readTexts(graph)).toContain('*Alice*: Too late');
  await page.keyboard.press('Escape');
  await expect(alice.message('Too late')).not.toContainText('Not delivered');

  // The network refuses the account: the owner is told.
  await graph.post('/person/refuse', { status: 401, code: 190 });
  await alice.send('Anybody?');
  await expect(page.getByText('Corner shop no longer relays messages.')).toBeVisible();
  await expect(
    page.getByText("Messages to WhatsApp wait: the bridge isn't connected.", { exact: false }),
  ).toBeVisible();
});
