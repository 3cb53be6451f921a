import { expect, insertMessages, test } from './fixtures';

test('a link to a message that does not exist shows the present', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [chat, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  const elsewhere = await alice.client.messages.send(other, { content: 'elsewhere' });
  await alice.client.messages.send(chat, { content: 'still here' });
  for (const id of ['999999', String(elsewhere.id), '99999999999999999999', 'x']) {
    await alice.page.goto(`${alice.url}/chats/${chat}/${id}`);
    await expect(alice.message('still here')).toBeVisible();
  }
  await alice.page.goto(`${alice.url}/chats/${chat}/999999`);
  await expect(alice.page.getByRole('alert').filter({ hasText: "This message doesn't exist" })).toBeVisible();
  await expect(alice.page).toHaveURL(`${alice.url}/chats/${chat}`);
  await alice.send('and it goes on');
  await expect(alice.message('and it goes on')).toBeVisible();
  // Also while older messages are shown.
  await alice.page.evaluate((path) => {
    history.pushState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
  }, `/chats/${chat}/999999`);
  await expect(alice.message('still here')).toBeVisible();
});

test('a new tab enters with the last used account, and the menu switches accounts', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.page.goto(alice.url);
  await expect(alice.page.getByRole('heading', { name: 'No chats yet' })).toBeVisible();
  // Bob signs in on the same device.
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await alice.page.getByRole('menuitem', { name: 'Add an account' }).click();
  await alice.page.getByLabel('Email').fill(bob.me.email ?? '');
  await alice.page.getByLabel('Password').fill(bob.password);
  await alice.page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(alice.page.getByRole('navigation').getByRole('button', { name: /Bob/ })).toBeVisible();

  const tab = await alice.context.newPage();
  await tab.goto(alice.url);
  await tab.getByRole('navigation').getByRole('button', { name: /Bob/ }).click();
  await tab.getByRole('menuitem', { name: 'Switch to Alice' }).click();
  await expect(tab.getByRole('navigation').getByRole('button', { name: /Alice/ })).toBeVisible();
  // The other tab keeps its account.
  await alice.page.reload();
  await expect(alice.page.getByRole('navigation').getByRole('button', { name: /Bob/ })).toBeVisible();
});

test('a link to a page of Confab opens in the same tab', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [chat, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  const target = await bob.client.messages.send(other, { content: 'the target' });
  await bob.client.messages.send(chat, { content: `see ${bob.url}/chats/${other}/${target.id}` });
  await alice.open(chat);
  await alice.log.getByRole('link', { name: /chats/ }).click();
  await expect(alice.message('the target')).toBeVisible();
  expect(alice.context.pages()).toHaveLength(1);
});

test('a public channel can be seen before it is joined', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const name = `plants ${alice.me.id}`;
  const channel = await alice.api.chats.create({ type: 'public_channel', name, members: [] });
  await alice.api.chats.update(channel.id, { topic: 'Water them' });
  await bob.page.goto(`${bob.url}/chats/${channel.id}`);
  await expect(bob.page.getByRole('heading', { name })).toBeVisible();
  await expect(bob.page.getByText('Water them')).toBeVisible();
  await bob.page.getByRole('button', { name: 'Join' }).click();
  await expect(bob.composer).toBeVisible();
  await alice.api.members.ban(channel.id, bob.me.id);
  await expect(bob.page.getByRole('heading', { name: "You've been banned from this chat." })).toBeVisible();
  await bob.page.reload();
  await expect(bob.page.getByRole('heading', { name: "You've been banned from this chat." })).toBeVisible();

  const group = await alice.api.chats.create({ type: 'group', name: 'short', members: [bob.me.id] });
  await bob.open(group.id);
  await alice.api.chats.delete(group.id);
  await expect(bob.page.getByRole('heading', { name: 'This chat was deleted.' })).toBeVisible();
  await bob.page.reload();
  await expect(bob.page.getByRole('heading', { name: 'Chat not found' })).toBeVisible();
});

test('on a phone, back closes a panel first, and so does a tap beside it', async ({ createUser, createGroup }) => {
  const options = { viewport: { width: 800, height: 700 } };
  const [alice, bob] = [await createUser('Alice', options), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const panel = alice.page.getByRole('complementary', { name: 'Members' });
  await alice.page.getByRole('button', { name: 'Members', exact: true }).click();
  await expect(panel).toBeVisible();
  await alice.page.goBack();
  await expect(panel).toBeHidden();
  await expect(alice.log).toBeVisible();
  await alice.page.getByRole('button', { name: 'Members', exact: true }).click();
  await alice.page.mouse.click(100, 300);
  await expect(panel).toBeHidden();
  await expect(alice.page).toHaveURL(`${alice.url}/chats/${chat}`);
  // At every width the panel is either beside the chat or above a shade.
  for (const width of [768, 769, 1023, 1024, 1025, 1280]) {
    await alice.page.setViewportSize({ width, height: 700 });
    await alice.page.getByRole('button', { name: 'Pinned', exact: true }).click();
    const pins = alice.page.getByRole('complementary', { name: 'Pinned' });
    await expect(pins).toBeVisible();
    const [side, chatBox] = [await pins.boundingBox(), await alice.log.boundingBox()];
    const covers = (side?.x ?? 0) < (chatBox?.x ?? 0) + (chatBox?.width ?? 0) - 1;
    expect(covers, `${width} px`).toBe(width <= 1024);
    await pins.getByRole('button', { name: 'Close' }).click();
    await expect(pins).toBeHidden();
  }
});

test('a closed panel stays closed after a reload', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const panel = alice.page.getByRole('complementary', { name: 'Members' });
  await panel.getByRole('button', { name: 'Close' }).click();
  await alice.page.reload();
  await expect(alice.log).toBeVisible();
  await expect(panel).toBeHidden();
});

test('messages are marked as unread, and stay so until the chat is opened again', async ({
  createUser,
  createGroup,
}) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [chat, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  for (const text of ['one', 'two', 'three']) await bob.client.messages.send(chat, { content: text });
  await alice.open(chat);
  await expect(alice.message('three')).toBeVisible();
  await alice.message('two').click({ button: 'right' });
  await alice.page.getByRole('menuitem', { name: 'Mark as unread' }).click();
  await expect(alice.log.getByText('New', { exact: true })).toBeVisible();
  await alice.page.locator(`nav a[href="/chats/${other}"]`).click();
  const row = alice.page.locator(`nav a[href="/chats/${chat}"]`);
  await expect(row).toContainText('2 unread');
  await row.click({ button: 'right' });
  await alice.page.getByRole('menuitem', { name: 'Mark as read' }).click();
  await expect(row).not.toContainText('unread');
});

test('the switcher finds people, channels and messages', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await insertMessages(server, chat, bob.me.id, 3);
  const channel = `orchids${alice.me.id}`;
  await bob.api.chats.create({ type: 'public_channel', name: channel, members: [] });
  await alice.open(chat);
  const open = async (text: string) => {
    await alice.page.keyboard.press('Control+k');
    await alice.page.getByRole('combobox', { name: 'Find a chat' }).fill(text);
  };
  await open(bob.me.username);
  await alice.page.getByRole('option', { name: `@${bob.me.username}` }).click();
  await expect(alice.page.getByRole('heading', { level: 2, name: 'Bob' })).toBeVisible();
  await open(channel);
  await alice.page.getByRole('option', { name: `${channel} Join` }).click();
  await expect(alice.page.getByRole('heading', { level: 2, name: channel })).toBeVisible();
  await open('message 2');
  await alice.page.getByRole('option', { name: /Search messages/ }).click();
  const panel = alice.page.getByRole('complementary', { name: 'Search' });
  await panel.getByRole('button', { name: /message 2/ }).click();
  await expect(alice.message('message 2')).toBeVisible();
  // The panel stays when its result opens another chat.
  await expect(panel.getByRole('combobox', { name: 'Search messages' })).toHaveValue('message 2');
});

test('a username that is taken is shown at its field', async ({ createUser, server, browser }) => {
  const alice = await createUser('Alice');
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.getByLabel('Email').fill(alice.me.email ?? '');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'wrong' })).toBeVisible();
  await page.getByRole('button', { name: 'Sign up' }).click();
  await page.getByLabel('Username').fill(alice.me.username);
  await page.getByLabel('Email').fill(`new${alice.me.id}@example.com`);
  await page.getByLabel('Password').fill(alice.password);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('Username')).toHaveAccessibleDescription('This username is taken.');
  await page.close();
});
