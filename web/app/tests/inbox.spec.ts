import { expect, test } from './fixtures';

test('the inbox shows what is addressed to the user until it is gone', async ({ createUser }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const name = `news of ${alice.me.username}`;
  const { id: chat } = await bob.api.chats.create({ type: 'private_channel', name, members: [alice.me.id] });
  await alice.page.goto(alice.url);
  const { page } = alice;
  const link = page.getByRole('link', { name: /^Inbox/ });
  await expect(link).toContainText('1');
  const own = await alice.client.messages.send(chat, { content: 'my question' });
  await bob.client.messages.send(chat, { content: 'an answer', reply_to: own.id });
  await bob.api.messages.react(own.id, '🎉');
  const mention = await bob.client.messages.send(chat, { content: `@${alice.me.username} look` });
  await bob.client.messages.send(chat, { content: '@everyone hello' });
  await expect(link).toContainText('5');
  await link.click();
  const list = page.getByRole('region', { name: 'Inbox' }).getByRole('listitem');
  await expect(list).toHaveText([
    new RegExp(`Bob mentioned everyone in ${name}.*hello`),
    new RegExp(`Bob mentioned you in ${name}.*look`),
    new RegExp(`Bob reacted 🎉 in ${name}.*my question`),
    new RegExp(`Bob replied to you in ${name}.*an answer`),
    new RegExp(`Bob added you to ${name}`),
  ]);
  // Two clicks turn notifications on.
  await expect(page.getByRole('button', { name: 'Turn on' })).toBeVisible();
  await page.screenshot({ path: '../../screenshots/inbox.png' });
  await page.getByRole('button', { name: 'Reactions' }).click();
  await expect(list).toHaveCount(1);
  await page.getByRole('button', { name: 'All', exact: true }).click();
  await expect(list).toHaveCount(5);
  // What is deleted goes, and what is seen is seen on all devices.
  await bob.api.messages.delete(mention.id);
  await expect(list).toHaveCount(4);
  await expect(link).toContainText('4');
  const other = await alice.context.newPage();
  await other.goto(alice.url);
  await expect(other.getByRole('link', { name: /^Inbox/ })).toContainText('4');
  await page.getByRole('button', { name: 'Mark all as seen' }).click();
  await expect(link).toHaveText('Inbox');
  await expect(other.getByRole('link', { name: /^Inbox/ })).toHaveText('Inbox');
  await list.first().getByRole('button').click();
  await expect(page).toHaveURL(new RegExp(`/chats/${chat}/\\d+$`));
  await expect(alice.message('@everyone hello')).toBeVisible();
});
