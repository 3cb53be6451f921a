import { expect, insertMessages, test } from './fixtures';

test('replies, reactions, edits, typing and receipts are live', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);

  // Typing is shown to online members.
  await expect(alice.page.getByRole('button', { name: 'Bob' }).getByRole('img', { name: 'Online' })).toBeVisible();
  await alice.composer.pressSequentially('Hel');
  await expect(bob.page.getByText('Alice is typing')).toBeVisible();
  await alice.send('Hello Bob');
  await expect(bob.message('Hello Bob')).toBeVisible();
  await expect(bob.page.getByText('Alice is typing')).toBeHidden();
  await expect(alice.page.getByText('Read by Bob')).toBeVisible();

  await bob.message('Hello Bob').hover();
  await bob.page.getByRole('button', { name: 'Reply' }).click();
  await expect(bob.composer).toBeFocused();
  await bob.send('Hello **Alice**');
  await expect(alice.message('Hello Alice').getByRole('button', { name: 'Jump to original message' })).toContainText(
    'Hello Bob',
  );
  await expect(
    alice.message('Hello Alice').getByRole('paragraph').filter({ hasText: 'Hello' }).getByRole('strong'),
  ).toBeVisible();

  await alice.message('Hello Alice').hover();
  await alice.page.getByRole('button', { name: 'React with 👍' }).click();
  const thumbsUp = bob.message('Hello Alice').getByRole('button', { name: '👍, 1' });
  await expect(thumbsUp).toHaveAttribute('aria-pressed', 'false');
  await thumbsUp.click();
  await expect(alice.message('Hello Alice').getByRole('button', { name: '👍, 2' })).toHaveAttribute(
    'aria-pressed',
    'true',
  );

  await bob.composer.press('ArrowUp');
  const editor = bob.page.getByRole('textbox', { name: 'Edit' });
  await editor.fill('Hello again');
  await editor.press('Enter');
  await alice.message('Hello again').getByRole('button', { name: '(edited)' }).click();
  await expect(alice.page.getByRole('dialog', { name: 'Edit history' })).toContainText('Hello Alice');
  await alice.page.keyboard.press('Escape');
  // Bob is not an admin: for messages of others he sees only that they were edited.
  const greeting = (await alice.api.messages.list(chat)).items.at(-1);
  await alice.api.messages.edit(greeting?.id ?? 0, 'Good day');
  await expect(bob.message('Good day').first()).toContainText('(edited)');
  await expect(bob.message('Good day').first().getByRole('button', { name: '(edited)' })).toHaveCount(0);
  await expect(bob.composer).toBeFocused();

  await bob.message('Hello again').hover();
  await bob.page.getByRole('button', { name: 'More' }).click();
  await bob.page.getByRole('menuitem', { name: 'Delete' }).click();
  await bob.page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(alice.message('This message was deleted')).toBeVisible();
  await expect(bob.message('This message was deleted')).toBeFocused();
});

test('any emoji can be picked, or completed after a colon', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.sendStored('Which one?');
  await alice.message('Which one?').hover();
  await alice.page.getByRole('button', { name: 'Add reaction' }).click();
  await alice.page.getByRole('searchbox', { name: 'Search emoji' }).fill('rocket');
  await alice.page.getByRole('dialog').getByRole('button', { name: 'rocket', exact: true }).click();
  await expect(alice.message('Which one?').getByRole('button', { name: '🚀, 1' })).toBeVisible();

  await alice.composer.pressSequentially('Look :rock');
  await expect(alice.page.getByRole('listbox', { name: 'Suggestions' })).toBeVisible();
  await alice.page.getByRole('option', { name: ':rocket:' }).click();
  await expect(alice.composer).toHaveValue('Look 🚀 ');
});

test('Enter completes a mention without sending it', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.page.goto(bob.url);
  await alice.open(chat);
  await alice.composer.pressSequentially('@bo');
  await expect(alice.page.getByRole('option', { name: 'Bob' })).toBeVisible();
  await alice.composer.press('Enter');
  await expect(alice.composer).toHaveValue(`@${bob.me.username} `);
  await alice.composer.pressSequentially('look');
  await alice.composer.press('Enter');
  await expect(alice.message('look')).toBeVisible();
  await expect(bob.page.getByRole('link', { name: /group/ })).toContainText('1');
  await expect(bob.page).toHaveTitle(/^\(1\)/);
});

test('an image uploads with progress and opens in the lightbox', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  const picture = await alice.page.screenshot();
  const files = alice.page.locator('input[type=file]');
  await files.setInputFiles({ name: 'screen.png', mimeType: 'image/png', buffer: picture });
  await expect(alice.page.getByRole('list', { name: 'Files to send' })).toContainText('screen.png');
  await alice.send('Look at this');
  await bob.page.getByRole('button', { name: 'Open screen.png' }).click();
  const image = bob.page.getByRole('dialog').getByRole('img', { name: 'screen.png' });
  await expect(image).toBeVisible();
  // A click zooms in at once and out again; keys and buttons do so in steps.
  const getWidth = async () => (await image.boundingBox())?.width ?? 0;
  const whole = await getWidth();
  await image.click();
  await expect.poll(getWidth).toBeGreaterThan(whole * 1.5);
  await bob.page.screenshot({ path: '../../screenshots/lightbox-zoomed.png' });
  await image.click();
  await expect.poll(getWidth).toBe(whole);
  await bob.page.getByRole('button', { name: 'Zoom in' }).click();
  await expect.poll(getWidth).toBeGreaterThan(whole);
  await bob.page.keyboard.press('0');
  await expect.poll(getWidth).toBe(whole);
  await bob.page.keyboard.press('Escape');
  await expect(bob.page.getByRole('dialog')).toBeHidden();
});

test('a PDF opens in a page of its own', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const pdf = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj
trailer<</Root 1 0 R>>`;
  const file = { name: 'plan.pdf', mimeType: 'application/pdf', buffer: Buffer.from(pdf) };
  await alice.page.locator('input[type=file]').setInputFiles(file);
  await expect(alice.page.getByRole('list', { name: 'Files to send' })).toContainText('plan.pdf');
  await alice.send('The plan');
  const [page] = await Promise.all([
    alice.context.waitForEvent('page'),
    alice.message('The plan').getByRole('button', { name: 'Open plan.pdf' }).click(),
  ]);
  await expect.poll(() => page.url()).toMatch(/^blob:/);
  expect(await page.evaluate(() => window.opener)).toBeNull();
});

test('an upload can be cancelled and the message still sent', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.page.route('**/api/upload', () => {
    // Never fulfilled: the upload stays in progress.
  });
  await alice.page
    .locator('input[type=file]')
    .setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a') });
  await expect(alice.page.getByRole('progressbar', { name: 'Uploading a.txt' })).toBeVisible();
  await alice.page.getByRole('button', { name: 'Remove a.txt' }).click();
  await expect(alice.page.getByRole('list', { name: 'Files to send' })).toBeHidden();
  await alice.send('Without it');
  await expect(alice.message('Without it')).toBeVisible();
});

test('a search result jumps to its message', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  const { id } = await alice.client.messages.send(chat, { content: 'the needle in it' });
  await insertMessages(server, chat, bob.me.id, 300);
  await alice.open(chat);
  await alice.page.getByRole('button', { name: 'Search' }).click();
  await alice.page.getByRole('combobox', { name: 'Search messages' }).fill('needle');
  await alice.page
    .getByRole('complementary', { name: 'Search' })
    .getByRole('button', { name: /needle/ })
    .click();
  await expect(alice.page.locator(`[data-message="${id}"]`)).toBeInViewport();
  await alice.page.getByRole('button', { name: 'Jump to latest' }).click();
  await expect(alice.message('message 300')).toBeInViewport();
});

test('a draft survives a reload and switching chats', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [one, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  await alice.open(one);
  await alice.composer.fill('half a thought');
  await alice.open(other);
  await expect(alice.composer).toHaveValue('');
  await alice.page.reload();
  await alice.open(one);
  await expect(alice.composer).toHaveValue('half a thought');
});

test('sending from one tab keeps the draft of another', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.composer.fill('not done yet');
  const tab = await alice.context.newPage();
  await tab.goto(`${alice.url}/chats/${chat}`);
  const otherComposer = tab.getByRole('combobox', { name: /^Message/ });
  await expect(otherComposer).toHaveValue('not done yet');
  await otherComposer.fill('done');
  await otherComposer.press('Enter');
  await expect(alice.message(/^.*done$/).or(alice.message('done'))).toBeVisible();
  await alice.page.reload();
  await expect(alice.composer).toHaveValue('not done yet');
});

test('channels can be created, joined, found and left', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const { page } = alice;
  await page.goto(alice.url);
  await page.getByRole('navigation').getByRole('button', { name: 'New message' }).click();
  await page.getByRole('radio', { name: 'Public channel' }).check();
  const name = `channel-of-${alice.me.username}`;
  await page.getByLabel('Channel name').fill(name);
  await page.getByRole('button', { name: 'Create' }).click();
  await expect(page.getByRole('heading', { level: 2, name })).toBeVisible();

  await bob.page.goto(bob.url);
  await bob.page.getByRole('navigation').getByRole('button', { name: 'Browse channels' }).click();
  await bob.page.getByLabel('Search channels').fill(name);
  await bob.page.getByRole('listitem').filter({ hasText: name }).getByRole('button', { name: 'Join' }).click();
  await bob.send('I am here');
  await expect(alice.message('I am here')).toBeVisible();
  await expect(page.getByRole('complementary', { name: 'Members' })).toContainText('Bob');

  await bob.page.getByRole('button', { name: 'Chat details' }).first().click();
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  await bob.page.getByRole('alertdialog').getByRole('button', { name: 'Leave' }).click();
  await expect(bob.page.getByRole('link', { name: new RegExp(name) })).toBeHidden();
  await expect(page.getByRole('complementary', { name: 'Members' })).not.toContainText('Bob');

  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Find a chat' }).fill(name.slice(0, 14));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 2, name })).toBeVisible();
});

test('a direct chat opens from a member; an invite is a link', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Bob' }).click();
  await alice.page.getByRole('dialog', { name: 'Profile of Bob' }).getByRole('button', { name: 'Message' }).click();
  await expect(alice.page.getByRole('heading', { level: 2, name: 'Bob' })).toBeVisible();
  await alice.send('Between us');
  await bob.page.goto(bob.url);
  await expect(bob.page.getByRole('link', { name: /Alice/ })).toContainText('Between us');

  await alice.open(chat);
  await alice.page.getByRole('button', { name: 'Add people' }).click();
  await alice.page.getByRole('button', { name: 'Create link' }).click();
  const link = await alice.page.getByText('/invite/').innerText();
  await carol.page.goto(link);
  await carol.page.getByRole('button', { name: 'Join' }).click();
  await carol.send('Thank you');
  await expect(alice.page.getByRole('dialog')).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await expect(alice.message('Thank you')).toBeVisible();
});

test('a pinned message appears in the pins panel', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.open(chat);
  await bob.page.getByRole('button', { name: 'Pinned' }).click();
  await expect(bob.page.getByText('No pinned messages')).toBeVisible();
  await alice.sendStored('Keep this');
  await alice.message('Keep this').hover();
  await alice.page.getByRole('button', { name: 'More' }).click();
  await alice.page.getByRole('menuitem', { name: 'Pin' }).click();
  await expect(bob.page.getByRole('complementary', { name: 'Pinned' })).toContainText('Keep this');
});

test('a message waiting for uploads is sent from another chat', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [one, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  await alice.open(one);
  await bob.open(one);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await alice.page.route('**/api/upload', async (route) => {
    await released;
    await route.continue();
  });
  await alice.page
    .locator('input[type=file]')
    .setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a') });
  await alice.send('with a file');
  await expect(alice.page.getByText('Uploading…')).toBeVisible();
  await alice.page.locator(`nav a[href="/chats/${other}"]`).click();
  release();
  await expect(bob.message('with a file')).toContainText('a.txt');
  await alice.page.locator(`nav a[href="/chats/${one}"]`).click();
  await expect(alice.composer).toHaveValue('');
});

test('an unsaved edit survives scrolling away', async ({ createUser, createGroup, server }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await insertMessages(server, chat, bob.me.id, 120);
  await alice.client.messages.send(chat, { content: 'first words' });
  await alice.open(chat);
  await expect(alice.message('first words')).toBeVisible();
  await alice.composer.press('ArrowUp');
  await alice.page.getByRole('textbox', { name: 'Edit' }).fill('second words');
  await alice.log.evaluate((scroller) => scroller.scrollTo(0, 0));
  await expect(alice.page.getByRole('textbox', { name: 'Edit' })).toHaveCount(0);
  await alice.page.getByRole('button', { name: 'Jump to latest' }).click();
  await alice.page.getByRole('textbox', { name: 'Edit' }).press('Enter');
  await expect(alice.message('second words')).toBeVisible();
});

test('colliding nonces of different users cause no confusion', async ({ createUser, createGroup }) => {
  const [alice, mallory] = [await createUser('Alice'), await createUser('Mallory')];
  const chat = await createGroup(alice, mallory);
  const { id } = await alice.client.messages.send(chat, { content: 'an honest message', nonce: 'honest' });
  for (const nonce of ['start', String(id), 'honest', 'mine honest']) {
    await mallory.client.messages.send(chat, { content: `made with ${nonce}`, nonce });
  }
  await alice.open(chat);
  await expect(alice.log.getByRole('article')).toHaveCount(5);
  const rowTops = await alice.log
    .getByRole('article')
    .evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().top));
  expect(rowTops).toEqual([...new Set(rowTops)].sort((one, other) => one - other));
});
