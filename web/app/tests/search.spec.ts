import { expect, findOverflow, test } from './fixtures';

test('a search has filters, an order and marked matches', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const [chat, other] = [await createGroup(alice, bob), await createGroup(alice, bob)];
  const long = `${'words before '.repeat(20)} needle ${'words after '.repeat(20)}`;
  await bob.client.messages.send(chat, { content: long });
  await alice.client.messages.send(chat, { content: 'a needle of mine' });
  await alice.client.messages.send(other, { content: 'needles elsewhere' });
  await alice.open(chat);
  await alice.page.keyboard.press('Control+Shift+f');
  const panel = alice.page.getByRole('complementary', { name: 'Search' });
  const field = panel.getByRole('combobox', { name: 'Search messages' });
  await expect(field).toBeFocused();
  await field.fill('needle');
  await expect(panel.getByRole('listitem')).toHaveCount(3);
  await expect(panel.locator('mark').first()).toHaveText(/needle/i);
  await expect(panel.getByRole('listitem').filter({ hasText: '…words before' })).toBeVisible();
  expect(await findOverflow(alice.page)).toEqual([]);
  await panel.getByLabel('Sort by').selectOption('newest');
  await expect(panel.getByRole('listitem').first()).toContainText('needles elsewhere');

  await field.pressSequentially(' from:bo');
  await panel.getByRole('option', { name: /Bob/ }).click();
  await expect(panel.getByRole('listitem')).toHaveCount(1);
  await expect(field).toHaveValue('needle');
  // A hit in another chat keeps the search.
  await field.press('Home');
  await panel.getByRole('button', { name: /Remove the filter from:/ }).click();
  await panel.getByRole('button', { name: /needles elsewhere/ }).click();
  await expect(alice.message('needles elsewhere')).toBeVisible();
  await expect(field).toHaveValue('needle');

  await panel.getByRole('button', { name: 'Clear the search' }).click();
  await field.fill('has:');
  await panel.getByRole('option', { name: /link/ }).click();
  await expect(panel.getByText('No results')).toBeVisible();
  await field.press('Backspace');
  await field.fill('before:2020-01-01');
  await field.press('Enter');
  await expect(panel.getByText('No results')).toBeVisible();
});

test('files are found by a filter alone, and an error removes the results', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'plain words' });
  await alice.open(chat);
  await alice.page
    .locator('input[type=file]')
    .setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('x') });
  await alice.composer.press('Enter');
  await expect(alice.message('a.txt')).toBeVisible();
  await alice.page.keyboard.press('Control+Shift+f');
  const panel = alice.page.getByRole('complementary', { name: 'Search' });
  const field = panel.getByRole('combobox', { name: 'Search messages' });
  await field.fill('has:file');
  await field.press('Enter');
  await expect(panel.getByRole('listitem')).toHaveCount(1);
  await field.fill('plain');
  await panel.getByRole('button', { name: /Remove the filter/ }).click();
  await expect(panel.getByRole('listitem').filter({ hasText: 'plain words' })).toHaveCount(1);
  await alice.page.route('**/api/search?*', (route) => route.abort());
  await field.fill('plain words');
  await expect(panel.getByRole('alert').filter({ hasText: /./ })).toBeVisible();
  await expect(panel.getByRole('listitem')).toHaveCount(0);
});
