import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AxeBuilder } from '@axe-core/playwright';
import { expect, type TestUser, test } from './fixtures';

const VERIFIER = 'a-verifier-that-only-the-program-knows.0123456789';

/** A program: the document that describes it, and the page to which the browser is sent. */
let program: Server;
let origin: string;

test.beforeAll(async () => {
  program = createServer((request, response) => {
    if (!request.url?.startsWith('/client.json')) {
      response.end('Back at the program');
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        client_id: `${origin}/client.json`,
        client_name: 'Note taker',
        redirect_uris: [`${origin}/callback`],
      }),
    );
  }).listen(0, '127.0.0.1');
  await once(program, 'listening');
  origin = `http://127.0.0.1:${(program.address() as AddressInfo).port}`;
});
test.afterAll(() => program.close());

function authorizeUrl(user: TestUser, change: Record<string, string> = {}): string {
  const parameters = new URLSearchParams({
    client_id: `${origin}/client.json`,
    redirect_uri: `${origin}/callback`,
    response_type: 'code',
    code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
    code_challenge_method: 'S256',
    scope: 'chats:read messages:read messages:write reactions:write',
    state: 'a state',
    resource: 'http://plain.test/mcp',
    ...change,
  });
  return `${user.url}/oauth/authorize?${parameters}`;
}

async function exchange(user: TestUser, url: string): Promise<Record<string, string>> {
  const response = await fetch(`${user.url}/api/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: new URL(url).searchParams.get('code') ?? '',
      client_id: `${origin}/client.json`,
      redirect_uri: `${origin}/callback`,
      code_verifier: VERIFIER,
      resource: 'http://plain.test/mcp',
    }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, string>;
}

test('a user lets a program read and revokes it in the settings', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.page.goto(authorizeUrl(alice));
  await expect(alice.page.getByRole('heading', { name: 'Note taker asks for access' })).toBeVisible();
  await expect(alice.page.getByText('It will act as Alice.')).toBeVisible();
  await expect(alice.page.getByText(`${origin}/client.json`)).toBeVisible();
  await expect(alice.page.getByText(`a program on this device (${new URL(origin).host})`)).toBeVisible();
  // A click that was meant for another page allows nothing.
  await expect(alice.page.getByRole('button', { name: 'Allow', exact: true })).toBeEnabled();
  await alice.page.evaluate(() => dispatchEvent(new Event('focus')));
  await expect(alice.page.getByRole('button', { name: 'Allow', exact: true })).toBeDisabled();
  await expect(alice.page.getByRole('button', { name: 'Allow', exact: true })).toBeEnabled();
  expect((await new AxeBuilder({ page: alice.page }).analyze()).violations).toEqual([]);
  await alice.page.screenshot({ path: '../../screenshots/consent.png', fullPage: true });
  await alice.page.getByRole('button', { name: 'Allow', exact: true }).click();
  await alice.page.waitForURL(`${origin}/callback?**`);
  const url = new URL(alice.page.url());
  expect([url.searchParams.get('state'), url.searchParams.get('iss')]).toEqual(['a state', 'http://plain.test']);
  expect((await exchange(alice, alice.page.url())).scope).toBe('chats:read messages:read');

  await alice.page.goto(alice.url);
  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Bots and programs' }).click();
  const tokens = alice.page.getByRole('region', { name: 'API tokens' });
  await expect(tokens.getByRole('listitem')).toContainText(`granted to ${new URL(origin).host}`);
  await tokens.getByRole('button', { name: 'Revoke' }).click();
  await expect(tokens.getByRole('listitem')).toHaveCount(0);
});

test('a user chooses the chats in which a program writes', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice', { viewport: { width: 390, height: 844 } });
  const chat = await createGroup(alice);
  const { name } = await alice.api.chats.get(chat);
  await alice.page.goto(authorizeUrl(alice));
  const allow = alice.page.getByRole('button', { name: 'Allow', exact: true });
  await alice.page.getByLabel('without asking').check();
  await expect(allow).toBeDisabled();
  await alice.page.getByLabel(name).check();
  await alice.page.screenshot({ path: '../../screenshots/consent-phone.png', fullPage: true });
  await allow.click();
  await alice.page.waitForURL(`${origin}/callback?**`);
  await exchange(alice, alice.page.url());
  const [token] = await alice.api.tokens.list();
  expect([token?.write_chat_ids, token?.scopes]).toEqual([
    [chat],
    ['chats:read', 'messages:read', 'messages:write', 'reactions:write'],
  ]);
});

test('a user declines, and an invalid request grants nothing', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.page.goto(authorizeUrl(alice));
  await alice.page.getByRole('button', { name: "Don't allow" }).click();
  await alice.page.waitForURL(`${origin}/callback?**`);
  expect(new URL(alice.page.url()).searchParams.get('error')).toBe('access_denied');
  expect(await alice.api.tokens.list()).toEqual([]);

  await alice.page.goto(authorizeUrl(alice, { redirect_uri: 'https://evil.example/' }));
  await expect(alice.page.getByRole('alert')).toContainText('not in its description');
  await alice.page.goto(authorizeUrl(alice, { code_challenge_method: 'plain' }));
  await expect(alice.page.getByText('PKCE with S256 is required')).toBeVisible();
  await alice.page.getByRole('button', { name: 'Back to the program' }).click();
  await alice.page.waitForURL(`${origin}/callback?error=invalid_request**`);
});

test('somebody who is signed out signs in first', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.page.evaluate(() => localStorage.clear());
  await alice.page.goto(authorizeUrl(alice));
  await alice.page.getByLabel('Email').fill(`${alice.me.username}@example.com`);
  await alice.page.getByLabel('Password').fill(alice.password);
  await alice.page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(alice.page.getByRole('heading', { name: 'Note taker asks for access' })).toBeVisible();
});
