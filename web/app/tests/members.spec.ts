import { readFile } from 'node:fs/promises';
import { expect, type TestUser, test } from './fixtures';

/** A file as in the `DataTransfer` of a drop or paste event. */
const createDataTransfer = (user: TestUser, name: string) =>
  user.page.evaluateHandle((file) => {
    const data = new DataTransfer();
    data.items.add(new File(['some words'], file, { type: 'text/plain' }));
    return data;
  }, name);

test('files can be dropped on a chat or pasted in the composer', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  const dropped = await createDataTransfer(alice, 'dropped.txt');
  await alice.log.dispatchEvent('dragover', { dataTransfer: dropped });
  await expect(alice.page.getByText('Drop files')).toBeVisible();
  await alice.log.dispatchEvent('drop', { dataTransfer: dropped });
  await expect(alice.page.getByText('Drop files')).toBeHidden();
  const pasted = await createDataTransfer(alice, 'pasted.txt');
  await alice.composer.evaluate((area, clipboardData) => {
    area.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, pasted);
  const tray = alice.page.getByRole('list', { name: 'Files to send' });
  await expect(tray.getByRole('listitem')).toHaveCount(2);
  await alice.composer.press('Enter');
  await expect(bob.message('dropped.txt')).toContainText('pasted.txt');
});

test('the messages of a blocked user are folded and do not count', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob, carol);
  const other = await createGroup(alice, carol);
  await alice.open(chat);
  await alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' }).click();
  await alice.page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
  await expect(alice.page.getByText("Bob can't send you direct messages anymore.")).toBeVisible();
  await bob.client.messages.send(chat, { content: 'unwanted words' });
  const folded = alice.log.getByText('Message from a blocked user.');
  await expect(folded).toBeVisible();
  await expect(alice.page.getByText('unwanted words')).toHaveCount(0);
  await alice.log.getByRole('button', { name: 'Show' }).click();
  await expect(alice.log.getByText('unwanted words')).toBeVisible();

  // The other chat is open, so that messages in this one would be unread.
  await alice.open(other);
  await bob.client.messages.send(chat, { content: 'more unwanted words' });
  await carol.client.messages.send(chat, { content: 'welcome words' });
  const row = alice.page.getByRole('navigation').getByRole('link', { name: 'welcome words' });
  await expect(row.getByText('1 unread', { exact: true })).toHaveCount(1);
});

test('owners promote admins and remove members in real time', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob, carol);
  for (const someone of [alice, bob, carol]) await someone.open(chat);
  const membersPanel = (user: TestUser) => user.page.getByRole('complementary', { name: 'Members' });
  await membersPanel(alice).getByRole('button', { name: 'Bob' }).click();
  await alice.page.getByRole('dialog').getByRole('button', { name: 'Make admin' }).click();
  await expect(membersPanel(carol).getByRole('button', { name: 'Bob' })).toContainText('admin');
  // An admin can remove a member, but not the owner.
  await membersPanel(bob).getByRole('button', { name: 'Alice' }).click();
  await expect(bob.page.getByRole('dialog').getByRole('button', { name: 'Message' })).toBeVisible();
  await expect(bob.page.getByRole('dialog').getByRole('button', { name: 'Remove' })).toHaveCount(0);
  await bob.page.keyboard.press('Escape');
  await membersPanel(bob).getByRole('button', { name: 'Carol' }).click();
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Remove from chat' }).click();
  await bob.page.getByRole('alertdialog').getByRole('button', { name: 'Remove from chat' }).click();
  await expect(carol.page.getByRole('heading', { name: 'You were removed from this chat.' })).toBeVisible();
  await carol.page.getByRole('button', { name: 'Back to chats' }).click();
  await expect(carol.page.getByText('No chats yet')).toBeVisible();
  await expect(membersPanel(alice)).not.toContainText('Carol');
});

test('a ban holds until lifted and an invite can be revoked', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const invite = await alice.api.invites.create(chat, { expires_in: 3_600 });
  await alice.open(chat);
  await alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' }).click();
  await alice.page.getByRole('dialog').getByRole('button', { name: 'Ban from chat' }).click();
  // Escape cancels the ban.
  await alice.page.keyboard.press('Escape');
  await expect(alice.page.getByRole('alertdialog')).toBeHidden();
  expect((await alice.api.members.list(chat)).items).toHaveLength(2);
  await alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' }).click();
  await alice.page.getByRole('dialog').getByRole('button', { name: 'Ban from chat' }).click();
  await alice.page.getByRole('alertdialog').getByRole('button', { name: 'Ban from chat' }).click();
  await expect(alice.page.getByRole('alertdialog')).toBeHidden();
  await expect(bob.api.invites.accept(invite.code)).rejects.toThrow();

  await alice.page.getByRole('button', { name: 'Chat details' }).click();
  await alice.page.getByRole('tab', { name: 'Banned' }).click();
  await expect(alice.page.getByRole('listitem').filter({ hasText: 'Bob' })).toBeVisible();
  await alice.page.getByRole('button', { name: 'Unban' }).click();
  await expect(alice.page.getByText('No banned users')).toBeVisible();
  await bob.api.invites.accept(invite.code);

  await alice.page.getByRole('tab', { name: 'Invites' }).click();
  await expect(alice.page.getByRole('tabpanel', { name: 'Invites' })).toContainText('1 use');
  await alice.page.getByRole('button', { name: 'Revoke' }).click();
  await expect(alice.page.getByText('No active invites')).toBeVisible();
  await expect(bob.api.invites.preview(invite.code)).rejects.toThrow();
});

test('an account can be exported and then deleted', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'I was here' });
  await alice.open(chat);
  await bob.open(chat);
  await bob.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await bob.page.getByRole('tab', { name: 'Account' }).click();
  const [file] = await Promise.all([
    bob.page.waitForEvent('download'),
    bob.page.getByRole('button', { name: 'Download' }).click(),
  ]);
  expect(file.suggestedFilename()).toBe(`${bob.me.username}.ndjson`);
  expect(await readFile(await file.path(), 'utf8')).toContain('I was here');

  await bob.page.getByLabel('Confirm your password').fill('not the password');
  await bob.page.getByRole('button', { name: 'Delete account' }).click();
  await expect(bob.page.getByRole('alert').filter({ hasText: /password/ })).toBeVisible();
  await bob.page.getByLabel('Confirm your password').fill(bob.password);
  await bob.page.getByRole('button', { name: 'Delete account' }).click();
  await expect(bob.page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await expect(bob.page.getByText('Signed in on this device')).toBeHidden();
  await expect(alice.message('I was here')).toBeVisible();
  await expect(alice.page.getByRole('complementary', { name: 'Members' })).not.toContainText('Bob');
});

test('presence changes are shown to other members', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const bobItem = alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' });
  await expect(bobItem.getByRole('img', { name: 'Offline' })).toBeVisible();
  await bob.page.goto(bob.url);
  await expect(bobItem.getByRole('img', { name: 'Online' })).toBeVisible();
  await bob.page.getByRole('navigation').getByRole('button', { name: /Bob/ }).click();
  await bob.page.getByRole('menuitem', { name: 'Busy' }).click();
  await expect(bobItem.getByRole('img', { name: 'Busy' })).toBeVisible();
  await bob.page.goto('about:blank');
  await expect(bobItem.getByRole('img', { name: 'Offline' })).toBeVisible({ timeout: 30_000 });
});

test('the presence of a newly added member is fetched', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob);
  const carolItem = alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Carol' });
  await carol.page.goto(carol.url);
  await expect(carol.page.getByRole('navigation').getByRole('img', { name: 'Online' })).toBeVisible();
  await alice.open(chat);
  await expect(alice.page.getByRole('navigation').getByRole('img', { name: 'Online' })).toBeVisible();
  await alice.api.members.add(chat, { user_id: carol.me.id });
  await expect(carolItem.getByRole('img', { name: 'Online' })).toBeVisible();
});

test('presence changes while the stream is opening are shown', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await alice.page.route(/\/events/, async (route) => {
    await released;
    await route.continue();
  });
  await alice.open(chat);
  const bobItem = alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' });
  await expect(bobItem.getByRole('img', { name: 'Offline' })).toBeVisible();
  await bob.page.goto(bob.url);
  await expect.poll(async () => (await alice.api.presence.get(bob.me.id)).status).toBe('online');
  release();
  await expect(bobItem.getByRole('img', { name: 'Online' })).toBeVisible();
});

test('a mention notifies once across all unfocused tabs', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { id: chat } = await alice.api.chats.create({ type: 'public_channel', name: `news of ${alice.me.username}` });
  await bob.api.chats.join(chat);
  await alice.context.grantPermissions(['notifications'], { origin: alice.url });
  await alice.context.addInitScript(() => {
    localStorage.setItem('confab.notify', 'true');
    // Simulate an unfocused page.
    Object.defineProperty(document, 'hasFocus', { value: () => false });
    const Real = Notification;
    const shownNotifications: string[] = [];
    Object.assign(globalThis, { shownNotifications });
    globalThis.Notification = class extends Real {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options);
        shownNotifications.push(`${title}: ${options?.body}`);
      }
    };
  });
  const other = await alice.context.newPage();
  await alice.page.goto(alice.url);
  await expect(alice.page.locator(`a[href="/chats/${chat}"]`)).toBeVisible();
  await other.goto(alice.url);
  await expect(other.locator(`a[href="/chats/${chat}"]`)).toBeVisible();
  await bob.client.messages.send(chat, { content: 'nothing to do with you' });
  await bob.client.messages.send(chat, { content: `@${alice.me.username} look` });
  const shownNotifications = async () =>
    (
      await Promise.all(
        [alice.page, other].map((page) =>
          page.evaluate(() => (globalThis as unknown as { shownNotifications: string[] }).shownNotifications),
        ),
      )
    ).flat();
  await expect.poll(shownNotifications).toHaveLength(1);
  expect((await shownNotifications())[0]).toContain('look');
  await expect(other.locator(`a[href="/chats/${chat}"]`)).toContainText('1');
  expect(await shownNotifications()).toHaveLength(1);
});

test('a member of a public channel without the permissions sees no Add and no Pin', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { id } = await alice.api.chats.create({ type: 'public_channel', name: `channel of ${alice.me.username}` });
  await bob.api.chats.join(id);
  await alice.client.messages.send(id, { content: 'a message to pin' });
  for (const [user, isAllowed] of [
    [alice, true],
    [bob, false],
  ] as const) {
    await user.open(id);
    await user.message('a message to pin').hover();
    await user.page.getByRole('button', { name: 'More' }).click();
    await expect(user.page.getByRole('menuitem', { name: 'Copy link' })).toBeVisible();
    await expect(user.page.getByRole('menuitem', { name: 'Pin' })).toHaveCount(isAllowed ? 1 : 0);
    await user.page.keyboard.press('Escape');
    await expect(user.page.getByRole('button', { name: 'Add people' })).toHaveCount(isAllowed ? 1 : 0);
  }
});

test('public channels are found page by page, without a request for each key', async ({ createUser }) => {
  const alice = await createUser('Alice');
  const prefix = `browse-${alice.me.username}`;
  for (let n = 10; n < 63; n += 1) await alice.api.chats.create({ type: 'public_channel', name: `${prefix} ${n}` });
  await alice.page.goto(alice.url);
  await alice.page.getByRole('button', { name: 'Browse channels' }).first().click();
  const dialog = alice.page.getByRole('dialog');
  const searches: string[] = [];
  alice.page.on('request', (request) => request.url().includes('/api/channels?') && searches.push(request.url()));
  const found = alice.page.waitForResponse((response) => new URL(response.url()).searchParams.get('q') === prefix);
  await dialog.getByLabel('Search channels').pressSequentially(prefix);
  await found;
  const getQueries = () => searches.map((url) => new URL(url).searchParams.get('q')).filter((query) => query !== null);
  // One request, or a few if the machine stops while it types; never one for each key.
  expect(getQueries().length).toBeLessThan(prefix.length / 2);
  await expect(dialog.getByText(`# ${prefix}`)).toHaveCount(50);
  await dialog.getByRole('button', { name: 'Load more' }).click();
  await expect(dialog.getByText(`# ${prefix}`)).toHaveCount(53);
  await expect(dialog.getByRole('button', { name: 'Load more' })).toHaveCount(0);
});

test('a status and the local time are shown to others', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice', { timezoneId: 'Asia/Tokyo' }), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await alice.page.getByRole('menuitem', { name: 'Set a status' }).click();
  const dialog = alice.page.getByRole('dialog', { name: 'Set a status' });
  await expect(dialog.getByLabel('What are you up to?')).toBeFocused();
  await dialog.getByRole('button', { name: 'In a meeting' }).click();
  await expect(dialog.getByLabel('Clear after')).toHaveValue('hour');
  await dialog.getByLabel('Emoji').fill('nothing');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert').filter({ hasText: 'emoji' })).toBeVisible();
  await dialog.getByLabel('Emoji').fill('📞');
  await alice.page.screenshot({ path: '../../screenshots/status-dialog.png' });
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(alice.page.getByRole('navigation').getByText('📞 In a meeting')).toBeVisible();

  const member = bob.page.getByRole('complementary').getByRole('button', { name: /Alice/ });
  await expect(member.getByRole('img', { name: 'In a meeting' })).toHaveText('📞');
  await member.click();
  await expect(bob.page.getByRole('dialog')).toContainText('📞 In a meeting');
  await expect(bob.page.getByRole('dialog')).not.toContainText('local time');
  await bob.page.keyboard.press('Escape');

  await alice.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await alice.page.getByLabel('Show others my local time (Asia/Tokyo)').check();
  await alice.page.getByRole('button', { name: 'Save' }).click();
  await member.click();
  const time = new Intl.DateTimeFormat('en-GB', { hour: 'numeric', minute: '2-digit', timeZone: 'Asia/Tokyo' });
  await expect(bob.page.getByRole('dialog')).toContainText(`${time.format().slice(0, 2)}`);
  await expect(bob.page.getByRole('dialog')).toContainText('local time');
  await bob.page.screenshot({ path: '../../screenshots/user-card-status.png' });
  await bob.page.keyboard.press('Escape');

  // It ends by itself.
  await alice.api.me.update({
    custom_status: { text: 'Back soon', emoji: null, expires_at: new Date(Date.now() + 4_000).toISOString() },
  });
  await member.click();
  await expect(bob.page.getByRole('dialog')).toContainText('Back soon');
  await expect(bob.page.getByRole('dialog')).not.toContainText('Back soon');
});
