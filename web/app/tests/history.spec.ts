import { expect, test } from './fixtures';

test('the timeline tells what changed in a chat', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob);
  await bob.open(chat);
  await alice.open(chat);
  await alice.sendStored('first');
  await alice.api.members.add(chat, { user_id: carol.me.id });
  await alice.api.chats.update(chat, { topic: 'Orchids' });
  const first = (await alice.api.messages.list(chat)).items.find(({ content }) => content === 'first');
  await alice.api.messages.pin(first?.id ?? 0);
  await carol.api.chats.leave(chat);
  const rows = bob.log.locator('[data-system="true"]');
  await expect(rows).toHaveText([
    'Alice added Carol',
    'Alice set the topic to “Orchids”',
    'Alice pinned a message',
    'Carol left',
  ]);
  await bob.page.screenshot({ path: '../../screenshots/system-messages.png' });

  // They are no news, and no text that can be edited.
  await expect(bob.page.getByText('New messages', { exact: true })).toHaveCount(0);
  await alice.log.locator('[data-system="true"]').first().click({ button: 'right' });
  await expect(alice.page.getByRole('menuitem', { name: 'Reply' })).toBeVisible();
  await expect(alice.page.getByRole('menuitem', { name: 'Edit' })).toHaveCount(0);
  await expect(alice.page.getByRole('menuitem', { name: 'Pin' })).toHaveCount(0);
  await alice.page.keyboard.press('Escape');

  // What is named can be opened.
  await rows.first().getByRole('button', { name: 'Carol' }).click();
  await expect(bob.page.getByRole('dialog')).toContainText(`@${carol.me.username}`);
  await bob.page.keyboard.press('Escape');
  await rows.nth(2).getByRole('button', { name: 'a message' }).click();
  await expect(bob.message('first')).toHaveAttribute('data-highlighted', 'true');

  // What follows is a group of its own.
  await alice.sendStored('second');
  await expect(alice.message('second')).toHaveAttribute('data-group-start', 'true');
  const row = bob.page.locator(`nav a[href="/chats/${chat}"]`);
  await alice.api.chats.update(chat, { topic: '' });
  await expect(row).toContainText('Alice removed the topic');
});

test('a message is saved on all devices and found again', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.client.messages.send(chat, { content: 'read this later' });
  const other = await alice.client.messages.send(chat, { content: 'and this' });
  await bob.open(chat);
  await bob.message('read this later').getByText('read this later').click({ button: 'right' });
  await bob.page.getByRole('menuitem', { name: 'Save for later' }).click();
  await bob.page.getByRole('link', { name: 'Saved messages' }).click();
  const saved = bob.page.getByRole('region', { name: 'Saved messages' }).getByRole('listitem');
  await expect(saved).toHaveCount(1);
  // On another device.
  await bob.api.savedMessages.save(other.id);
  await expect(saved.first()).toContainText('and this');
  await expect(saved).toHaveCount(2);
  await bob.page.screenshot({ path: '../../screenshots/saved-messages.png' });
  await saved.first().getByRole('button', { name: 'Remove from saved' }).click();
  await expect(saved).toHaveCount(1);
  await saved
    .first()
    .getByRole('button', { name: /read this later/ })
    .click();
  await expect(bob.message('read this later')).toHaveAttribute('data-highlighted', 'true');
  await bob.message('read this later').getByText('read this later').click({ button: 'right' });
  await expect(bob.page.getByRole('menuitem', { name: 'Remove from saved' })).toBeVisible();
});

test('a forwarded message is a quote for those who may read it', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const source = await createGroup(alice, bob);
  const target = await createGroup(alice, bob, carol);
  const { name } = await alice.api.chats.get(target);
  const sent = await bob.client.messages.send(source, { content: 'the **original** text' });
  await alice.open(source);
  await alice.message('original').getByText('original').click({ button: 'right' });
  await alice.page.getByRole('menuitem', { name: 'Forward' }).click();
  const dialog = alice.page.getByRole('dialog', { name: 'Forward message' });
  await expect(dialog).toContainText('the original text');
  await dialog.getByRole('button', { name: new RegExp(name) }).click();
  await dialog.getByLabel('Comment (optional)').fill('look at this');
  await alice.page.screenshot({ path: '../../screenshots/forward.png' });
  await dialog.getByRole('button', { name: 'Forward' }).click();
  const forwarded = alice.message('look at this');
  await expect(forwarded.getByRole('button', { name: /the original text/ })).toContainText('the original text');
  await alice.page.screenshot({ path: '../../screenshots/forwarded.png' });
  await carol.open(target);
  await expect(carol.message('look at this')).toContainText("A message that you can't see");
  await expect(carol.message('look at this')).not.toContainText('original text');
  await forwarded.getByRole('button', { name: /the original text/ }).click();
  await expect(alice.message('the original text')).toHaveAttribute('data-highlighted', 'true');
  // What is edited there is edited here.
  await alice.open(target);
  const quote = alice.message('look at this');
  await bob.api.messages.edit(sent.id, 'the corrected text');
  await expect(quote.getByRole('button', { name: /the corrected text/ })).toBeVisible();
  await bob.api.messages.edit(sent.id, 'the original text');
  await expect(quote.getByRole('button', { name: /the original text/ })).toBeVisible();
  // An example in code is no quote.
  await alice.send(`\`${alice.url}/chats/${source}/1\` is an example`);
  await expect(alice.message('is an example')).toHaveCount(1);
  await expect(alice.log.getByRole('button', { name: /the original text/ })).toHaveCount(1);
});

test('an invite tells a newcomer who invites where, and leads into the chat', async ({ createUser, browser }) => {
  const alice = await createUser('Alice');
  const chat = await alice.api.chats.create({
    type: 'private_channel',
    name: 'Orchid growers',
    description: 'Leaves and roots',
    members: [],
  });
  const invite = await alice.api.invites.create(chat.id);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${alice.url}/invite/${invite.code}`);
  await expect(page.getByRole('heading', { name: 'Alice invites you to Orchid growers' })).toBeVisible();
  await expect(page.getByText('1 member · Leaves and roots')).toBeVisible();
  await page.screenshot({ path: '../../screenshots/invite-signed-out.png' });
  await page.getByLabel('Username').fill(`newcomer${Date.now()}`);
  await page.getByLabel('Email').fill(`newcomer${Date.now()}@example.com`);
  await page.getByLabel('Password').fill('a-long-enough-word-7');
  // Three clicks from the link to the first message.
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('button', { name: 'Join' }).click();
  await expect(page.getByRole('combobox', { name: /^Message/ })).toBeFocused();
  await page.keyboard.type('hello');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('log').getByRole('article').filter({ hasText: 'hello' })).toHaveCount(1);
  await page.goto(`${alice.url}/signed-out`);
  await context.clearCookies();
  await page.evaluate(() => localStorage.clear());
  await page.goto(`${alice.url}/invite/not-an-invite-at-all`);
  await expect(page.getByRole('heading', { name: "This invite isn't valid" })).toBeVisible();
  await context.close();
});
