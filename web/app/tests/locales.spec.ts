import { readdir, readFile } from 'node:fs/promises';
import { expect, findOverflow, test } from './fixtures';

const SCREENSHOT_DIR = new URL('../../../screenshots/', import.meta.url).pathname;

const FOLDER = new URL('../src/locales/', import.meta.url);

/** The endings of keys by number, in any language. */
const PLURAL = /_(?:zero|one|two|few|many|other)$/;

/** Lists the texts of a catalogue by their path. */
function flatten(catalogue: object, path = ''): [string, string][] {
  return Object.entries(catalogue).flatMap(([key, value]) =>
    typeof value === 'string' ? [[`${path}${key}`, value] as [string, string]] : flatten(value, `${path}${key}.`),
  );
}

async function readCatalogue(name: string): Promise<Map<string, string>> {
  return new Map(flatten(JSON.parse(await readFile(new URL(name, FOLDER), 'utf8'))));
}

const getPlaceholders = (text: string) => (text.match(/{{\w+}}/g) ?? []).sort().join(' ');

test('each catalogue has every text, with the same placeholders', async () => {
  const english = await readCatalogue('en.json');
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.json') && name !== 'en.json');
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const catalogue = await readCatalogue(name);
    const withoutPlurals = (keys: Iterable<string>) =>
      [...new Set([...keys].map((key) => key.replace(PLURAL, '')))].sort();
    expect(withoutPlurals(catalogue.keys()), name).toEqual(withoutPlurals(english.keys()));
    // Each category of numbers that the language has.
    const categories = new Intl.PluralRules(name.replace('.json', '')).resolvedOptions().pluralCategories;
    for (const key of english.keys()) {
      const base = key.replace(PLURAL, '');
      if (base === key) continue;
      for (const category of categories)
        expect(catalogue.has(`${base}_${category}`), `${name}: ${base}_${category}`).toBe(true);
    }
    for (const [key, text] of catalogue) {
      const original = english.get(key) ?? english.get(key.replace(PLURAL, '_other')) ?? '';
      // A text for one or two may spell the number out.
      const isSpelledOut =
        PLURAL.test(key) && getPlaceholders(text) === getPlaceholders(original.replace('{{count}}', ''));
      expect(isSpelledOut || getPlaceholders(text) === getPlaceholders(original), `${name}: ${key}`).toBe(true);
    }
  }
});

test('the browser chooses the language, and a setting overrides it', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice', { locale: 'de-DE' }), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'Hallo' });
  await alice.page.goto(`${alice.url}/chats/${chat}`);
  await expect(alice.page.getByRole('heading', { name: 'Mitglieder' })).toBeVisible();
  await expect(alice.page.locator('html')).toHaveAttribute('lang', 'de');
  await expect(alice.page.getByText('Heute')).toBeVisible();
  expect(await findOverflow(alice.page)).toEqual([]);
  await alice.page.getByRole('button', { name: 'Einstellungen' }).click();
  for (const name of ['Dieses Gerät', 'Benachrichtigungen', 'Sitzungen', 'Bots und Programme', 'Konto']) {
    await alice.page.getByRole('tab', { name }).click();
    expect(await findOverflow(alice.page), name).toEqual([]);
  }
  await alice.page.screenshot({ path: `${SCREENSHOT_DIR}settings-german.png` });
  await alice.page.getByRole('tab', { name: 'Dieses Gerät' }).click();
  await alice.page.getByLabel('Sprache').selectOption('en');
  await expect(alice.page.getByRole('heading', { name: 'Members' })).toBeVisible();
  // A language that there is not.
  const carol = await createUser('Carol', { locale: 'fi-FI' });
  await carol.page.goto(carol.url);
  await expect(carol.page.getByRole('heading', { name: 'No chats yet' })).toBeVisible();
});

test('a language from right to left mirrors the page', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice', { locale: 'fa-IR' }), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await bob.client.messages.send(chat, { content: 'سلام، حالت چطوره؟' });
  const sent = await bob.client.messages.send(chat, { content: 'Hello from the left' });
  await bob.api.messages.react(sent.id, '🎉');
  await alice.client.messages.send(chat, { content: `@${bob.me.username} بله`, reply_to: sent.id });
  await alice.page.goto(`${alice.url}/chats/${chat}`);
  await expect(alice.page.getByRole('heading', { name: 'اعضا' })).toBeVisible();
  await expect(alice.page.locator('html')).toHaveAttribute('dir', 'rtl');
  const [sidebar, log] = [alice.page.getByRole('navigation'), alice.page.getByRole('log')];
  const [sidebarBox, logBox] = [await sidebar.boundingBox(), await log.boundingBox()];
  expect(sidebarBox?.x ?? 0).toBeGreaterThan(logBox?.x ?? 0);
  const directions = await alice.log
    .locator('p[dir]')
    .evaluateAll((texts) => texts.map((text) => getComputedStyle(text).direction));
  expect(directions).toContain('ltr');
  expect(directions).toContain('rtl');
  const isOutside = await alice.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  expect(isOutside).toBe(false);
  await alice.message('Hello from the left').first().hover();
  await alice.page.screenshot({ path: `${SCREENSHOT_DIR}chat-right-to-left.png` });
  // The sidebar grows to the left.
  await alice.page.getByRole('separator').focus();
  const before = (await sidebar.boundingBox())?.width ?? 0;
  await alice.page.keyboard.press('ArrowLeft');
  await expect.poll(async () => (await sidebar.boundingBox())?.width).toBe(before + 16);
});
