import { expect, test } from './fixtures';

/** Pieces of which texts are made: marks, and words that are numbered. */
const MARKS = [
  '*',
  '**',
  '_',
  '__',
  '~~',
  '`',
  '```\n',
  '\n```\n',
  '> ',
  '\n> ',
  '# ',
  '\n# ',
  '## ',
  '\n- ',
  '\n1. ',
  '\n0. ',
  '- [x] ',
  '[',
  ']',
  '](',
  ')',
  ']: ',
  '\n[',
  '![',
  '<',
  '>',
  '</',
  '&amp;',
  '&',
  '|',
  '||',
  '\n|---|---|\n',
  '| ',
  ' | ',
  '\n---\n',
  '\n',
  '\n\n',
  '  \n',
  '\\',
  '"',
  "'",
  ':',
  '@',
  '#',
  '$',
  '\t',
  '    ',
  'https://example.com/',
  '~~~',
  '===\n',
] as const;

/** A generator of the same numbers for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test('every word of a text is shown, whatever marks surround it', async ({ createUser }) => {
  test.setTimeout(180_000);
  const alice = await createUser('Alice');
  const chat = await alice.api.chats.create({ type: 'group', name: 'marks', members: [] });
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
  console.info(`SEED=${seed}`);
  const random = createRandom(seed);
  const texts: string[] = [
    '[INFO]: started',
    '[10:23]: yes',
    '[a]: b "c"',
    '#',
    '>',
    '-',
    '**',
    '***',
    '``',
    '[]()',
    '[a](b "title")',
    '<div>x</div>',
    '| a | b |\n|---|---|\n| 1 | 2 | w3 |',
    '\\',
    '&copy; &#39; &lt;b&gt;',
    '```js\nw1',
    '[^1]: note',
    '* * *',
    '<!-- hidden -->',
    '<https://example.com> <b>w1</b>',
    '[w1][w2]\n\n[w2]: https://example.com',
  ];
  for (let n = 0; n < 180; n += 1) {
    const length = 3 + Math.floor(random() * 14);
    const pieces = Array.from({ length }, (_, nth) =>
      random() < 0.45 ? `w${nth}` : (MARKS[Math.floor(random() * MARKS.length)] ?? ''),
    );
    const text = pieces.join('').trim();
    if (text !== '') texts.push(text);
  }
  await alice.open(chat.id);
  const wrong: string[] = [];
  for (const text of texts) {
    const sent = await alice.client.messages.send(chat.id, { content: text });
    const row = alice.page.locator(`[data-message="${sent.id}"] [class*="body"]`);
    await expect(row).toBeVisible();
    const shown = await row.evaluate((body) => {
      const targets = [...body.querySelectorAll('a')].map((link) => `${link.getAttribute('href')} ${link.title}`);
      return `${body.textContent} ${targets.join(' ')} `;
    });
    const missing = (text.match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => {
      // Entities are shown as the characters that they stand for.
      if (/^(?:amp|lt|gt|quot|39)$/.test(word)) return false;
      // Numbers of lists, and marks of tasks.
      if (/^(?:[01]|x)$/.test(word)) return false;
      return !decodeURI(shown).includes(word);
    });
    if (missing.length > 0) wrong.push(`${JSON.stringify(text)} hides ${missing.join(', ')}: ${shown}`);
    const isBlank = shown.replace(/\d+:\d+\s*[AP]M/g, '').trim() === '';
    const hasBox = await row.evaluate((body) => body.querySelector('hr, li, pre, blockquote, code') !== null);
    if (isBlank && !hasBox) wrong.push(`${JSON.stringify(text)} shows nothing`);
  }
  expect(wrong).toEqual([]);
});

test('lists begin where they say, and each block has the direction of its text', async ({ createUser }) => {
  const alice = await createUser('Alice');
  const chat = await alice.api.chats.create({ type: 'group', name: 'blocks', members: [] });
  await alice.client.messages.send(chat.id, { content: '0. zero\n1. one' });
  await alice.client.messages.send(chat.id, { content: 'مرحبا بالعالم\n\nHello' });
  await alice.open(chat.id);
  await expect(alice.log.locator('ol')).toHaveAttribute('start', '0');
  const directions = await alice
    .message('Hello')
    .locator('p[dir]')
    .evaluateAll((blocks) => blocks.map((block) => getComputedStyle(block).direction));
  expect(directions).toEqual(['rtl', 'ltr']);
});

test('a long message is folded until it is unfolded, and stays so', async ({ createUser }) => {
  const alice = await createUser('Alice');
  const chat = await alice.api.chats.create({ type: 'group', name: 'long', members: [] });
  const lines = Array.from({ length: 80 }, (_, nth) => `line ${nth}`);
  const long = await alice.client.messages.send(chat.id, { content: lines.join('\n') });
  for (let n = 0; n < 40; n += 1) await alice.client.messages.send(chat.id, { content: `after ${n}` });
  await alice.open(chat.id, long.id);
  const row = alice.page.locator(`[data-message="${long.id}"]`);
  const height = async () => (await row.boundingBox())?.height ?? 0;
  expect(await height()).toBeLessThan(480);
  await row.getByRole('button', { name: 'Show more' }).click();
  await expect.poll(height).toBeGreaterThan(1_000);
  await alice.page.getByRole('button', { name: 'Jump to latest' }).click();
  await expect(alice.message('after 39')).toBeInViewport();
  await alice.log.evaluate((log) => log.scrollTo(0, 0));
  await expect(row).toBeVisible();
  expect(await height()).toBeGreaterThan(1_000);
});

test('only mentions that the server found stand out', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob);
  // Bob is no admin, so he cannot mention everyone; Carol is no member.
  await alice.api.users.search(carol.me.username);
  const sent = await bob.client.messages.send(chat, {
    content: `@everyone @here @Everyone @${carol.me.username} @${alice.me.username} 你好@${alice.me.username}`,
  });
  await alice.open(chat);
  const row = alice.page.locator(`[data-message="${sent.id}"]`);
  await expect(row).toBeVisible();
  const name = `@${alice.me.username}`;
  expect(await row.locator('[data-mention]').allTextContents()).toEqual([name, name]);
  await row.locator('[data-mention]').first().click();
  await expect(alice.page.getByRole('dialog', { name: 'Profile of Alice' })).toBeVisible();
  const mine = await alice.client.messages.send(chat, { content: '@everyone' });
  await expect(alice.page.locator(`[data-message="${mine.id}"] [data-mention]`)).toHaveText('@everyone');
});
