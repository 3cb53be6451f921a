import { expect, type TestUser, test } from './fixtures';

/** Records the notifications that the pages of a user show, and keeps the pages without focus. */
async function recordNotifications({ context, url }: TestUser): Promise<void> {
  await context.grantPermissions(['notifications'], { origin: url });
  await context.addInitScript(() => {
    localStorage.setItem('confab.notify', 'true');
    Object.defineProperty(document, 'hasFocus', { value: () => false });
    const shown: string[] = [];
    Object.assign(globalThis, { shown });
    globalThis.Notification = class extends Notification {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options);
        shown.push(`${title}: ${options?.body}`);
      }
    };
    // Once the page has a service worker, that one shows them.
    const { showNotification } = ServiceWorkerRegistration.prototype;
    ServiceWorkerRegistration.prototype.showNotification = function (title, options) {
      shown.push(`${title}: ${options?.body}`);
      return showNotification.call(this, title, options);
    };
  });
}

const readShown = ({ page }: TestUser) => page.evaluate(() => (globalThis as unknown as { shown: string[] }).shown);

test('an open page notifies as the server decides', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { id: chat } = await alice.api.chats.create({ type: 'public_channel', name: `news of ${alice.me.username}` });
  await bob.api.chats.join(chat);
  await recordNotifications(alice);
  await alice.api.notificationSettings.update({ keywords: ['deploy'] });
  const own = await alice.client.messages.send(chat, { content: 'my question' });
  // Enough that the page does not load it.
  for (let n = 0; n < 60; n += 1) await bob.client.messages.send(chat, { content: `for nobody ${n}` });
  const name = `group of ${alice.me.username}`;
  const { id: other } = await alice.api.chats.create({ type: 'group', name, members: [bob.me.id] });
  await alice.api.chats.setNotificationLevel(other, 'none');
  await alice.open(other);
  // What arrives before the page has caught up does not notify.
  await expect.poll(async () => (await bob.api.presence.get(alice.me.id)).status).toBe('online');
  await bob.client.messages.send(other, { content: 'marker' });
  await expect(alice.message('marker')).toBeVisible();
  await bob.client.messages.send(chat, { content: 'about a deployment' });
  await bob.client.messages.send(chat, { content: 'We DEPLOY now' });
  await expect.poll(() => readShown(alice)).toHaveLength(1);
  await bob.client.messages.send(chat, { content: 'an answer', reply_to: own.id });
  await expect.poll(() => readShown(alice)).toHaveLength(2);
  expect((await readShown(alice)).map((text) => text.split(': ')[1])).toEqual(['We DEPLOY now', 'an answer']);
  // Do not disturb, and then all messages.
  await alice.api.notificationSettings.update({ dnd_until: new Date(Date.now() + 3_600_000).toISOString() });
  await bob.client.messages.send(chat, { content: 'deploy, in vain' });
  const { id: fence } = await bob.api.chats.create({ type: 'single', user_id: alice.me.id });
  await alice.api.notificationSettings.update({ dnd_until: null });
  await alice.api.chats.setNotificationLevel(chat, 'all');
  await alice.api.chats.markRead(chat, (await bob.client.messages.send(chat, { content: 'read at once' })).id);
  await bob.client.messages.send(fence, { content: 'a direct message' });
  await expect.poll(async () => (await readShown(alice)).at(-1)).toContain('a direct message');
  await bob.client.messages.send(chat, { content: 'a plain message' });
  await expect.poll(async () => (await readShown(alice)).at(-1)).toContain('a plain message');
  expect(await readShown(alice)).toHaveLength(4);
});

test('settings of notifications are saved and shown on all devices', async ({ createUser }) => {
  const alice = await createUser('Alice');
  const { id: chat } = await alice.api.chats.create({ type: 'group', name: `group of ${alice.me.username}` });
  await alice.open(chat);
  const { page } = alice;
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('tab', { name: 'Notifications' }).click();
  await page.getByRole('combobox', { name: 'Groups' }).selectOption('Nothing');
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await page.getByRole('menuitem', { name: '1 hour' }).click();
  await expect(page.getByText(/Paused on all your devices until/)).toBeVisible();
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(page.getByRole('button', { name: 'Pause', exact: true })).toBeVisible();
  await page.getByRole('textbox', { name: 'Keywords' }).fill('deploy, code review,');
  await page.getByRole('button', { name: 'Save keywords' }).click();
  await expect(page.getByText('Saved', { exact: true })).toBeVisible();
  await page.getByRole('checkbox', { name: 'Quiet hours every day' }).check();
  await page.getByLabel('From').fill('23:15');
  await page.getByRole('button', { name: 'Save quiet hours' }).click();
  await expect.poll(async () => (await alice.api.notificationSettings.get()).quiet_hours).not.toBeNull();
  const settings = await alice.api.notificationSettings.get();
  expect(settings.keywords).toEqual(['deploy', 'code review']);
  expect(settings.quiet_hours).toMatchObject({ from: '23:15', until: '07:00' });
  expect(settings.group_level).toBe('none');
  await page.getByRole('textbox', { name: 'Keywords' }).fill('?!');
  await page.getByRole('button', { name: 'Save keywords' }).click();
  await expect(page.getByRole('alert').getByText(/A keyword must contain/)).toBeVisible();
  await page.screenshot({ path: '../../screenshots/notification-settings.png' });
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Chat details' }).click();
  await expect(page.getByRole('combobox', { name: 'Notify me about' })).toContainText('Default: Nothing');
  await page.getByRole('combobox', { name: 'Notify me about' }).selectOption('All messages');
  await page.getByRole('button', { name: 'Mute', exact: true }).click();
  await page.getByRole('menuitem', { name: '8 hours' }).click();
  await expect(page.getByText(/Muted until/)).toBeVisible();
  await page.screenshot({ path: '../../screenshots/chat-notifications.png' });
  const summary = await alice.api.chats.get(chat);
  expect(summary).toMatchObject({ is_muted: true, notification_level: 'all' });
  await page.getByRole('button', { name: 'Unmute' }).click();
  await expect(page.getByText(/Muted until/)).toBeHidden();
});
