import { execFile } from 'node:child_process';
import { createECDH, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, type TestUser, test } from './fixtures';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));
const run = promisify(execFile);

/** Decrypts a push, and verifies who sent it, with libraries that share no code with the server. */
const READ_PUSH = `
import base64, http_ece, json, sys
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
body, private_key, auth, authorization = json.load(sys.stdin)
key = ec.derive_private_key(int.from_bytes(base64.b64decode(private_key), "big"), ec.SECP256R1())
assert Vapid02.verify(authorization)
text = http_ece.decrypt(base64.b64decode(body), private_key=key, auth_secret=base64.b64decode(auth), version="aes128gcm")
print(text.decode())
`;

interface Push {
  readonly path: string;
  readonly body: Buffer;
  readonly authorization: string;
}

/** A push service, and the keys of a browser that subscribes there. Chromium reaches none in a test. */
class PushService {
  readonly pushes: Push[] = [];
  readonly keys = createECDH('prime256v1');
  readonly auth = randomBytes(16);
  readonly server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.pushes.push({
      path: request.url ?? '',
      body: Buffer.concat(chunks),
      authorization: request.headers.authorization ?? '',
    });
    response.writeHead(201).end();
  });

  static async start(): Promise<PushService> {
    const service = new PushService();
    service.keys.generateKeys();
    service.server.listen(0, '127.0.0.1');
    await once(service.server, 'listening');
    return service;
  }

  /** Makes the pages of a user subscribe here. */
  async install({ context }: TestUser): Promise<void> {
    const { port } = this.server.address() as AddressInfo;
    const subscription = {
      endpoint: `http://127.0.0.1:${port}/push/device`,
      keys: { p256dh: this.keys.getPublicKey('base64url'), auth: this.auth.toString('base64url') },
    };
    await context.addInitScript((json) => {
      PushManager.prototype.subscribe = async (options) =>
        ({ options, toJSON: () => json, unsubscribe: async () => true }) as unknown as PushSubscription;
      PushManager.prototype.getSubscription = async () => null;
    }, subscription);
  }

  /** The text of the next push. */
  async next(): Promise<string> {
    await expect.poll(() => this.pushes.length, { timeout: 30_000 }).toBeGreaterThan(0);
    const push = this.pushes.shift() as Push;
    const input = [push.body, this.keys.getPrivateKey(), this.auth].map((bytes) => bytes.toString('base64'));
    const child = run(PYTHON, ['-c', READ_PUSH]);
    child.child.stdin?.end(JSON.stringify([...input, push.authorization]));
    return (await child).stdout;
  }
}

/** Turns notifications on in the settings, as a user does. */
async function turnOn({ context, page, url }: TestUser): Promise<void> {
  await context.grantPermissions(['notifications'], { origin: url });
  await page.goto(url);
  await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('tab', { name: 'Notifications' }).click();
  await page.getByRole('button', { name: 'Turn on' }).click();
  await expect(page.getByText('You are notified also while Confab is closed.')).toBeVisible();
}

test('a closed app notifies of a mention, and a click opens the message', async ({ createUser }) => {
  const service = await PushService.start();
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { id: chat } = await alice.api.chats.create({ type: 'public_channel', name: `news of ${alice.me.username}` });
  await bob.api.chats.join(chat);
  await service.install(alice);
  await turnOn(alice);
  await alice.page.screenshot({ path: '../../screenshots/push.png' });

  // The page is closed, and Bob mentions Alice.
  await alice.page.goto('about:blank');
  await bob.client.messages.send(chat, { content: 'not for Alice' });
  const sent = await bob.client.messages.send(chat, { content: `@${alice.me.username} look` });
  const text = await service.next();
  const { notification, app_badge } = JSON.parse(text) as {
    notification: { title: string; body: string };
    app_badge: number;
  };
  expect(notification).toMatchObject({
    title: `Bob · news of ${alice.me.username}`,
    body: `@${alice.me.username} look`,
  });
  expect(app_badge).toBe(1);

  // The real service worker shows what was pushed.
  const session = await alice.context.newCDPSession(alice.page);
  const registered = new Promise<string>((resolve) => {
    session.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      const active = versions.find(({ status }) => status === 'activated');
      if (active) resolve(active.registrationId);
    });
  });
  await session.send('ServiceWorker.enable');
  await alice.page.goto(`${alice.url}/icon.svg`);
  const registrationId = await registered;
  const shown = () =>
    alice.page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration('/sw.js');
      const notifications = (await registration?.getNotifications()) ?? [];
      return notifications.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
    });
  // The DevTools protocol loses a message now and then. One that comes twice has the same tag.
  const deliver = () =>
    expect(async () => {
      await session.send('ServiceWorker.deliverPushMessage', { origin: alice.url, registrationId, data: text });
      await expect.poll(shown, { timeout: 2_000 }).toHaveLength(1);
    }).toPass({ timeout: 30_000 });
  await deliver();
  expect(await shown()).toEqual([
    {
      ...{ title: notification.title, body: notification.body },
      tag: `chat-${alice.me.id}-${chat}`,
      data: { navigate: `http://plain.test/chats/${chat}/${sent.id}`, userId: alice.me.id },
    },
  ]);

  // Reading the message, here or on another device, closes it.
  await alice.page.goto(alice.url);
  await expect(alice.page.locator(`a[href="/chats/${chat}"]`)).toContainText('1');
  expect(await shown()).toHaveLength(1);
  await alice.api.chats.markRead(chat, sent.id);
  await expect.poll(shown).toEqual([]);

  // A click shows the message in an open window. Nothing is read any more that would close the notification.
  await deliver();
  const [worker] = alice.context.serviceWorkers();
  await worker?.evaluate(async () => {
    // The types of a worker, which the types of a page do not know.
    const scope = globalThis as unknown as EventTarget & {
      readonly registration: ServiceWorkerRegistration;
      readonly NotificationEvent: new (type: string, init: { notification: Notification }) => Event;
    };
    const [notification] = await scope.registration.getNotifications();
    if (notification) scope.dispatchEvent(new scope.NotificationEvent('notificationclick', { notification }));
  });
  await alice.page.waitForURL(`${alice.url}/chats/${chat}/${sent.id}`);
  await expect(alice.message('look')).toBeVisible();
  await expect.poll(shown).toEqual([]);
  service.server.close();
});

test('a subscription that the browser ends is replaced while no page is open', async ({ createUser }) => {
  const service = await PushService.start();
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { id: chat } = await bob.api.chats.create({ type: 'single', user_id: alice.me.id });
  await service.install(alice);
  await turnOn(alice);
  await alice.page.goto(`${alice.url}/icon.svg`);
  const [worker] = alice.context.serviceWorkers();
  const renewed = {
    endpoint: `http://127.0.0.1:${(service.server.address() as AddressInfo).port}/push/renewed`,
    keys: { p256dh: service.keys.getPublicKey('base64url'), auth: randomBytes(16).toString('base64url') },
  };
  await worker?.evaluate((json) => {
    const scope = globalThis as unknown as EventTarget & {
      readonly PushManager: { readonly prototype: { subscribe: unknown } };
      readonly ExtendableEvent: new (type: string) => Event;
    };
    scope.PushManager.prototype.subscribe = async () => ({ toJSON: () => json });
    scope.dispatchEvent(new scope.ExtendableEvent('pushsubscriptionchange'));
  }, renewed);
  // A push to the old address may be on its way.
  await expect(async () => {
    await bob.client.messages.send(chat, { content: 'are you there?' });
    await expect.poll(() => service.pushes.at(-1)?.path, { timeout: 5_000 }).toBe('/push/renewed');
  }).toPass({ timeout: 40_000 });
  service.server.close();
});

test('the app can be installed', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.page.goto(alice.url);
  const session = await alice.context.newCDPSession(alice.page);
  const { manifest, errors } = await session.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  expect(manifest).toMatchObject({ name: 'Confab', display: 'kStandalone' });
  // The only obstacle is that the test has a private window.
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual(['in-incognito']);
});

test('notifications that the browser blocks are explained', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.context.addInitScript(() => {
    Object.defineProperty(Notification, 'permission', { value: 'denied' });
    Notification.requestPermission = async () => 'denied';
  });
  await alice.page.goto(alice.url);
  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByRole('tab', { name: 'Notifications' }).click();
  await alice.page.getByRole('button', { name: 'Turn on' }).click();
  await expect(alice.page.getByRole('alert').filter({ hasText: 'The browser blocks notifications' })).toBeVisible();
});
