import { expect, sql, test } from './fixtures';

test('an operator suspends a user and removes a message', async ({ server, createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await sql(server, `update users set is_operator = true where id = ${alice.me.id}`);
  const chat = await createGroup(bob);
  const message = await bob.api.messages.get((await bob.client.messages.send(chat, { content: 'rude words' })).id);
  await bob.open(chat);
  await alice.page.goto(server.url);
  await alice.page.getByRole('navigation').getByRole('button', { name: /Alice/ }).click();
  await alice.page.getByRole('menuitem', { name: 'Server moderation' }).click();

  await alice.page.getByRole('tab', { name: 'Remove content' }).click();
  await alice.page.getByLabel('Link to a message or a chat').fill('not a link');
  await alice.page.getByRole('button', { name: 'Remove' }).click();
  await expect(alice.page.getByRole('alert').filter({ hasText: 'not a link' })).toBeVisible();
  await alice.page.getByLabel('Link to a message or a chat').fill(`${server.url}/chats/${chat}/${message.id}`);
  await alice.page.getByRole('button', { name: 'Remove' }).click();
  await alice.page
    .getByRole('dialog')
    .or(alice.page.getByRole('alertdialog'))
    .getByRole('button', { name: 'Remove' })
    .click();
  await expect(bob.message('rude words')).toHaveCount(0);

  await alice.page.getByRole('tab', { name: 'Users' }).click();
  await alice.page.getByLabel('Find users by name or email').fill(bob.me.username);
  const row = alice.page.getByRole('listitem').filter({ hasText: `@${bob.me.username}` });
  await row.getByRole('button', { name: `Actions for ${bob.me.username}` }).click();
  await alice.page.getByRole('menuitem', { name: 'Suspend' }).click();
  await alice.page.getByLabel('Reason').fill('rude');
  await alice.page.getByRole('button', { name: 'Suspend' }).click();
  await expect(row).toContainText('Suspended');
  await expect(bob.page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await bob.page.getByLabel('Email').fill(bob.me.email ?? '');
  await bob.page.getByLabel('Password').fill(bob.password);
  await bob.page.getByRole('button', { name: 'Sign in' }).click();
  await expect(bob.page.getByRole('alert').filter({ hasText: 'suspended your account' })).toBeVisible();

  await alice.page.getByRole('tab', { name: 'Audit log' }).click();
  const log = alice.page.getByRole('list', { name: 'Audit log' });
  await expect(log.getByRole('listitem').first()).toContainText('Failed sign-in');
  await expect(log.getByRole('listitem').nth(1)).toContainText('Account suspended');
  await expect(log.getByRole('listitem').nth(1)).toContainText(`Alice (@${alice.me.username}) → Bob`);
  await expect(log).toContainText('Message removed');
  await alice.page.getByLabel('Action').selectOption('Failed sign-in');
  await expect(log).not.toContainText('Account suspended');
});

test('an operator chooses the channels that newcomers join', async ({ server, createUser }) => {
  const alice = await createUser('Alice');
  await sql(server, `update users set is_operator = true where id = ${alice.me.id}`);
  const name = `welcome ${alice.me.id}`;
  const channel = await alice.api.chats.create({ type: 'public_channel', name, description: 'Say hello' });
  await alice.page.goto(`${server.url}/operator`);
  await alice.page.getByRole('tab', { name: 'New members' }).click();
  await expect(alice.page.getByText('None yet: newcomers find channels by themselves.')).toBeVisible();
  await alice.page.getByLabel('Add a channel').fill(name);
  await alice.page.getByRole('listitem').filter({ hasText: name }).getByRole('button', { name: 'Add' }).click();
  const chosen = alice.page.getByRole('list', { name: 'New members' }).getByRole('listitem').filter({ hasText: name });
  await expect(chosen).toHaveCount(1);
  await alice.page.screenshot({ path: '../../screenshots/default-channels.png' });
  const newcomer = await createUser('Newcomer');
  await newcomer.open(channel.id);
  await expect(newcomer.log.locator('[data-system="true"]')).toHaveText(['Newcomer joined']);
  await chosen.getByRole('button', { name: 'Remove' }).click();
  await expect(chosen).toHaveCount(0);
});

test('a user sees recent sign-ins and failed attempts', async ({ createUser, server }) => {
  const erin = await createUser('Erin');
  const body = JSON.stringify({ email: erin.me.email, password: 'a wrong password' });
  await fetch(`${server.url}/api/signin`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await erin.page.goto(server.url);
  await erin.page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
  await erin.page.getByRole('tab', { name: 'Sessions' }).click();
  const activity = erin.page.getByRole('region', { name: 'Recent activity' });
  await expect(activity.getByRole('listitem').first()).toContainText('Failed sign-in');
  await expect(activity).toContainText('Signed in');
  await expect(activity).toContainText('Account created');
});
