import { readFile } from 'node:fs/promises';
import { memoryStorage, Session } from '@confab/sdk';
import { expect, test } from './fixtures';

interface Vectors {
  readonly users: readonly string[];
  readonly texts: readonly { readonly text: string; readonly mentions: readonly string[] }[];
}

test('the page shows the mentions that the server finds', async ({ createUser, server }) => {
  test.setTimeout(120_000);
  const vectors = JSON.parse(
    await readFile(new URL('../../../fixtures/mentions.json', import.meta.url), 'utf8'),
  ) as Vectors;
  const alice = await createUser('Alice');
  const usernames = vectors.users.filter((name) => name !== 'everyone');
  // Names that no other test takes.
  const prefix = `v${alice.me.id}`;
  const members: number[] = [];
  for (const name of usernames) {
    const session = new Session(server.url, { storage: memoryStorage() });
    const username = `${prefix}${name}`;
    const me = await session.signUp({ username, email: `${username}@example.com`, password: alice.password });
    members.push(me.id);
  }
  const chat = await alice.api.chats.create({ type: 'group', name: 'mentions', members });
  await alice.open(chat.id);
  await expect(alice.page.getByRole('complementary', { name: 'Members' })).toContainText(`${prefix}bob`);
  const known = new RegExp(`@(${usernames.map((name) => name.replace('.', '\\.')).join('|')})`, 'gi');
  const wrong: string[] = [];
  for (const { text, mentions } of vectors.texts.filter((one) => one.text !== '')) {
    const sent = await alice.client.messages.send(chat.id, { content: text.replace(known, `@${prefix}$1`) });
    const row = alice.page.locator(`[data-message="${sent.id}"]`);
    await expect(row).toBeVisible();
    const shown = await row.locator('[data-mention]').allTextContents();
    const names = new Set(shown.map((one) => one.slice(1).toLowerCase().replace(prefix, '')));
    if ([...names].sort().join() !== [...mentions].sort().join())
      wrong.push(`${JSON.stringify(text)} shows ${[...names].join()} instead of ${mentions.join()}`);
  }
  expect(wrong).toEqual([]);
});
