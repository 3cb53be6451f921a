import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from './fixtures';

test('a user creates a bot and a token, and the bot talks', async ({ server, createUser, createGroup }) => {
  const alice = await createUser('Alice');
  const chat = await createGroup(alice);
  const name = `helper${alice.me.id}`;
  await alice.open(chat);
  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Bots and programs' }).click();
  const bots = alice.page.getByRole('region', { name: 'Bots' });
  const tokens = alice.page.getByRole('region', { name: 'API tokens' });

  await bots.getByLabel('Username of a new bot').fill(alice.me.username);
  await bots.getByRole('button', { name: 'Create bot' }).click();
  await expect(bots.getByRole('alert')).toContainText('taken');
  await bots.getByLabel('Username of a new bot').fill(name);
  await bots.getByRole('button', { name: 'Create bot' }).click();
  await expect(bots.getByRole('listitem')).toContainText(`@${name}`);

  await tokens.getByLabel('Name of a new token').fill('greetings');
  await tokens.getByLabel('Acts for').selectOption(name);
  await tokens.getByLabel('Send and change messages').check();
  await tokens.getByRole('button', { name: 'Create token' }).click();
  await expect(tokens.getByRole('listitem')).toContainText('greetings');
  await expect(tokens.getByRole('listitem')).toContainText('messages:write');
  const secret = await tokens.getByText(/^cfb_/).innerText();

  const [bot] = await alice.api.bots.list();
  await alice.api.members.add(chat, { user_id: bot?.id ?? 0 });
  const send = (content: string) =>
    fetch(`${server.url}/api/chats/${chat}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ content }),
    });
  expect((await send('hello from a program')).status).toBe(201);
  await alice.page.keyboard.press('Escape');
  const message = alice.message('hello from a program');
  await expect(message).toBeVisible();
  await expect(message).toContainText('Bot');

  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Bots and programs' }).click();
  await expect(tokens.getByText(/^cfb_/)).toHaveCount(0);
  await tokens.getByRole('button', { name: 'Revoke' }).click();
  await expect(tokens.getByRole('listitem')).toHaveCount(0);
  await expect.poll(async () => (await send('too late')).status).toBe(401);

  await bots.getByRole('button', { name: 'Delete bot' }).click();
  await alice.page.getByRole('alertdialog').getByRole('button', { name: 'Delete bot' }).click();
  await expect(alice.page.getByRole('alertdialog')).toHaveCount(0);
  await expect.poll(async () => (await alice.api.bots.list()).length).toBe(0);
});

test('a webhook posts an embed, and its new URL replaces the old one', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice');
  const chat = await createGroup(alice);
  await alice.open(chat);
  await alice.page.getByRole('button', { name: 'Chat details' }).click();
  await alice.page.getByRole('tab', { name: 'Webhooks' }).click();
  const panel = alice.page.getByRole('tabpanel', { name: 'Webhooks' });
  await panel.getByLabel('Name of a new webhook').fill('Builds');
  await panel.getByRole('button', { name: 'Create webhook' }).click();
  await expect(panel.getByRole('listitem')).toContainText('Builds');
  const url = await panel.getByText(/\/api\/webhooks\/\d+\//).innerText();
  const post = (to: string, body: object) =>
    fetch(to, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const embed = {
    title: 'Build 7',
    url: 'https://ci.example/7',
    description: '**12** tests <img src=x onerror=alert(1)>',
    color: 0x2da44e,
    fields: [{ name: 'branch', value: 'main', inline: true }],
    footer: { text: 'took 3 min' },
  };
  expect((await post(url, { username: 'CI', embeds: [embed] })).status).toBe(204);
  await panel.getByRole('button', { name: 'New URL' }).click();
  await expect(panel.getByText(/\/api\/webhooks\/\d+\//)).not.toHaveText(url);
  expect((await post(url, { content: 'too late' })).status).toBe(404);
  await alice.page.keyboard.press('Escape');

  const message = alice.page.getByRole('article').filter({ hasText: 'Build 7' });
  await expect(message).toContainText('CI');
  await expect(message).toContainText('Webhook');
  await expect(message.getByRole('link', { name: 'Build 7' })).toHaveAttribute('href', 'https://ci.example/7');
  await expect(message.locator('strong', { hasText: '12' })).toBeVisible();
  await expect(message.locator('img[src="x"]')).toHaveCount(0);
  await expect(message).toContainText('took 3 min');
  await expect(alice.page.getByRole('navigation')).toContainText('CI: Build 7');
});

test('events reach an endpoint, and its owner sees the deliveries', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice');
  const chat = await createGroup(alice);
  let status = 204;
  const received: string[] = [];
  const receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push(body);
    response.writeHead(status).end('no such hook');
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;

  await alice.open(chat);
  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Bots and programs' }).click();
  const region = alice.page.getByRole('region', { name: 'Outgoing webhooks' });
  const form = {
    url: region.getByLabel('URL of a new endpoint'),
    create: region.getByRole('button', { name: 'Create endpoint' }),
  };
  await form.url.fill('https://10.0.0.1/hook');
  await form.create.click();
  await expect(region.getByRole('alert')).toContainText('not public');
  await form.url.fill(url);
  await form.create.click();
  const endpoint = region.getByRole('listitem').first();
  await expect(endpoint).toContainText(url);
  await expect(endpoint).toContainText('message.new');
  await expect(region.getByText(/^whsec_/)).toBeVisible();

  await region.getByRole('button', { name: `Actions for ${url}` }).click();
  await alice.page.getByRole('menuitem', { name: 'Send a test' }).click();
  const deliveries = region.getByRole('list', { name: 'Deliveries' });
  await expect(deliveries.getByRole('listitem').first()).toContainText('test');
  await expect(deliveries.getByRole('listitem').first()).toContainText('Delivered');

  status = 410;
  await alice.client.messages.send(chat, { content: 'the last one' });
  await expect(alice.page.getByText(`Events are no longer sent to ${url}.`)).toBeVisible();
  expect(received.at(-1)).toContain('the last one');
  await alice.page.keyboard.press('Escape');
  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Bots and programs' }).click();
  await expect(endpoint).toContainText('The other server answered 410 Gone.');
  await region.getByRole('button', { name: `Actions for ${url}` }).click();
  await alice.page.getByRole('menuitem', { name: 'Show deliveries' }).click();
  await expect(deliveries.getByRole('listitem').first()).toContainText('410 Gone: no such hook');

  status = 204;
  await region.getByRole('button', { name: `Actions for ${url}` }).click();
  await alice.page.getByRole('menuitem', { name: 'Enable' }).click();
  await expect(endpoint).not.toContainText('Gone.');
  await deliveries.getByRole('button', { name: 'Try again now' }).first().click();
  await expect(deliveries.getByRole('listitem').first()).toContainText('Delivered');
  expect(received.at(-1)).toContain('the last one');

  await region.getByRole('button', { name: `Actions for ${url}` }).click();
  await alice.page.getByRole('menuitem', { name: 'Delete endpoint' }).click();
  await alice.page.getByRole('alertdialog').getByRole('button', { name: 'Delete endpoint' }).click();
  await expect.poll(async () => (await alice.api.webhookEndpoints.list()).length).toBe(0);
  receiver.close();
});
