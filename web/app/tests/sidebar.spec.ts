import { expect, test } from './fixtures';

test('rows have one height, and chats can be favorites, folded and filtered', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chats = [await createGroup(alice, bob), await createGroup(alice, bob), await createGroup(alice, bob)];
  const [read, unread, mentioned] = chats as [number, number, number];
  await bob.client.messages.send(unread, { content: 'news' });
  await bob.client.messages.send(mentioned, { content: `@${alice.me.username}` });
  await alice.api.chats.mute(read);
  await alice.page.goto(alice.url);
  const row = (chat: number) => alice.page.locator(`nav a[href="/chats/${chat}"]`);
  await expect(row(mentioned)).toContainText('1 unread');
  const heights = await Promise.all(chats.map(async (chat) => (await row(chat).boundingBox())?.height));
  expect(new Set(heights).size, `${heights}`).toBe(1);

  await row(unread).click({ button: 'right' });
  await alice.page.getByRole('menuitem', { name: 'Add to favorites' }).click();
  const favorites = alice.page.getByRole('region', { name: 'Favorites' });
  await expect(favorites.getByRole('link')).toHaveCount(1);
  await row(read).dragTo(row(unread));
  await expect(favorites.getByRole('link')).toHaveCount(2);
  await expect(favorites.getByRole('link').first()).toHaveAttribute('href', `/chats/${read}`);
  await alice.page.reload();
  await expect(favorites.getByRole('link')).toHaveCount(2);

  await alice.page.getByRole('button', { name: 'Favorites' }).click();
  await expect(row(read)).toHaveCount(0);
  await expect(row(unread), 'what is unread stays').toHaveCount(1);
  await alice.page.getByRole('button', { name: 'Favorites' }).click();
  await alice.page.getByRole('button', { name: 'Chat list options' }).click();
  await alice.page.getByRole('menuitem', { name: 'Show unread only' }).click();
  await expect(alice.page.locator('nav a[href^="/chats/"]')).toHaveCount(2);
  await alice.page.getByRole('button', { name: 'Chat list options' }).click();
  await alice.page.getByRole('menuitem', { name: 'Mark all chats as read' }).click();
  await expect(alice.page.locator('nav a[href^="/chats/"]')).toHaveCount(0);
  await alice.page.getByRole('button', { name: 'Show unread only' }).click();
  await expect(alice.page.locator('nav a[href^="/chats/"]')).toHaveCount(3);

  const sidebar = alice.page.getByRole('navigation', { name: 'Chats' });
  const before = (await sidebar.boundingBox())?.width ?? 0;
  await alice.page.getByRole('separator', { name: 'Resize the chat list' }).focus();
  await alice.page.keyboard.press('ArrowRight');
  await expect.poll(async () => (await sidebar.boundingBox())?.width).toBe(before + 16);
});

test('a direct chat is listed for the other user with its first message', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await bob.page.goto(bob.url);
  await expect(bob.page.getByRole('heading', { name: 'No chats yet' })).toBeVisible();
  const chat = await alice.api.chats.create({ type: 'single', user_id: bob.me.id });
  await alice.open(chat.id);
  await expect(alice.page.locator(`nav a[href="/chats/${chat.id}"]`)).toBeVisible();
  await bob.client.api.chats.list();
  await expect(bob.page.locator(`nav a[href="/chats/${chat.id}"]`)).toHaveCount(0);
  await alice.send('Hello Bob');
  await expect(bob.page.locator(`nav a[href="/chats/${chat.id}"]`)).toContainText('Hello Bob');
});

test('people are suggested before anything is typed', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.page.goto(alice.url);
  await alice.page.getByRole('button', { name: 'New message' }).first().click();
  await expect(alice.page.getByText('No contacts yet.')).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await createGroup(bob, alice);
  await alice.page.getByRole('button', { name: 'New message' }).first().click();
  await expect(alice.page.getByRole('dialog').getByRole('button', { name: /^Bob/ })).toBeVisible();
});

test('drafts are listed, opened and discarded', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [first, second] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  for (const [chat, text] of [
    [first, 'half a thought'],
    [second, 'another one'],
  ] as const) {
    await alice.open(chat);
    await alice.composer.fill(text);
  }
  await alice.page.goto(alice.url);
  const openDrafts = async () => {
    await alice.page.getByRole('button', { name: 'Chat list options' }).click();
    await alice.page.getByRole('menuitem', { name: 'Drafts' }).click();
  };
  await openDrafts();
  const drafts = alice.page.getByRole('dialog', { name: 'Drafts' });
  await expect(drafts.getByRole('listitem')).toHaveCount(2);
  await drafts
    .getByRole('listitem')
    .filter({ hasText: 'another one' })
    .getByRole('button', { name: /^Discard/ })
    .click();
  await expect(drafts.getByRole('listitem')).toHaveCount(1);
  await drafts.getByRole('button', { name: 'Open' }).click();
  await expect(alice.composer).toHaveValue('half a thought');
  await alice.open(second);
  await expect(alice.composer).toHaveValue('');
});

test('who reacted is shown, and a card opens from a name', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.api.me.update({ bio: 'Grows orchids' });
  const sent = await bob.client.messages.send(chat, { content: 'lunch?' });
  await bob.api.messages.react(sent.id, '🎉');
  await alice.open(chat);
  const chip = alice.message('lunch?').getByRole('button', { name: '🎉, 1' });
  await chip.hover();
  await expect(alice.page.getByText('Bob reacted with 🎉')).toBeVisible();
  await chip.click();
  await alice.message('lunch?').getByRole('button', { name: '🎉, 2' }).click({ button: 'right' });
  await expect(alice.page.getByRole('dialog', { name: 'Reactions' })).toContainText('Alice');
  await alice.page.keyboard.press('Escape');
  await alice.message('lunch?').getByRole('button', { name: 'Bob', exact: true }).click();
  const card = alice.page.getByRole('dialog', { name: 'Profile of Bob' });
  await expect(card).toContainText('Grows orchids');
  await expect(card).toContainText('1 chat in common');
  await card.getByRole('button', { name: 'Message' }).click();
  await expect(alice.page.getByRole('heading', { level: 2, name: 'Bob' })).toBeVisible();
});
