import type { Page } from '@playwright/test';
import { expect, type TestUser, test } from './fixtures';

/** Reports a key as an input method does: with the code 229, and not as a composition. */
async function pressDuringComposition(user: TestUser, key: string): Promise<void> {
  await user.composer.evaluate((field, name) => {
    const event = new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true });
    Object.defineProperty(event, 'keyCode', { value: 229 });
    field.dispatchEvent(event);
  }, key);
}

/** Pastes texts and files. */
async function paste(page: Page, texts: Readonly<Record<string, string>>, fileName?: string): Promise<void> {
  await page.evaluate(
    ([all, name]) => {
      const data = new DataTransfer();
      for (const [type, text] of Object.entries(all)) data.setData(type, text);
      if (name) data.items.add(new File(['x'], name, { type: 'image/png' }));
      const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
      if (document.activeElement?.dispatchEvent(event)) document.execCommand('insertText', false, all['text/plain']);
    },
    [texts, fileName] as const,
  );
}

test('a key of an input method sends nothing', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.composer.fill('にほん');
  await pressDuringComposition(alice, 'Enter');
  await expect(alice.composer).toHaveValue('にほん');
  await alice.composer.press('Enter');
  await expect(alice.message('にほん')).toBeVisible();
});

test('codes become emoji, and what is inserted can be undone', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.composer.pressSequentially('Done :tada');
  await expect(alice.page.getByRole('listbox', { name: 'Suggestions' })).toBeVisible();
  await alice.composer.press('Escape');
  await alice.composer.pressSequentially(':');
  await expect(alice.composer).toHaveValue('Done 🎉');
  await alice.composer.press('Control+z');
  await expect(alice.composer).toHaveValue('Done :tada:');
  await alice.composer.press('Enter');
  await expect(alice.message('Done 🎉')).toBeVisible();
  await alice.send('`:tada:` in code, 10:30:45, and :nothing:');
  await expect(alice.message(':tada: in code, 10:30:45, and :nothing:')).toBeVisible();

  await alice.composer.pressSequentially('Hi @bo');
  await expect(alice.page.getByRole('option', { name: /Bob/ })).toBeVisible();
  await alice.composer.press('Enter');
  await expect(alice.composer).toHaveValue(`Hi @${bob.me.username} `);
  await alice.composer.press('Control+z');
  await expect(alice.composer).toHaveValue('Hi @bo');

  await alice.composer.fill('Here ');
  await alice.page.getByRole('button', { name: 'Insert emoji' }).click();
  await alice.page.getByRole('searchbox', { name: 'Search emoji' }).fill('rocket');
  await expect(alice.page.getByRole('dialog').getByRole('button', { name: 'rocket', exact: true })).toBeVisible();
  await alice.page.keyboard.press('Enter');
  await expect(alice.composer).toHaveValue('Here 🚀');
  await expect(alice.composer).toBeFocused();
});

test('a paste with a text and a picture pastes the text', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.composer.focus();
  await paste(alice.page, { 'text/plain': 'a\tb', 'text/html': '<table><tr><td>a<td>b</table>' }, 'sheet.png');
  await expect(alice.composer).toHaveValue('a\tb');
  await expect(alice.page.getByRole('list', { name: 'Files to send' })).toHaveCount(0);
  await paste(alice.page, { 'text/html': '<img src="x">' }, 'picture.png');
  await expect(alice.page.getByRole('list', { name: 'Files to send' })).toContainText('picture.png');
});

test('a selection can be formatted, and linked by a pasted address', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  const select = (text: string) =>
    alice.composer.evaluate((field: HTMLTextAreaElement, part) => {
      const start = field.value.indexOf(part);
      field.setSelectionRange(start, start + part.length);
    }, text);
  await alice.composer.fill('make it bold');
  await select('bold');
  await alice.composer.press('Control+b');
  await expect(alice.composer).toHaveValue('make it **bold**');
  await alice.composer.press('Control+i');
  await expect(alice.composer).toHaveValue('make it ***bold***');
  await alice.composer.press('Control+i');
  await alice.composer.press('Control+b');
  await expect(alice.composer).toHaveValue('make it bold');
  await select('make');
  await alice.page.getByRole('toolbar', { name: 'Format' }).getByRole('button', { name: 'Spoiler' }).click();
  await expect(alice.composer).toHaveValue('||make|| it bold');
  await select('bold');
  await paste(alice.page, { 'text/plain': 'https://example.com/x' });
  await expect(alice.composer).toHaveValue('||make|| it [bold](https://example.com/x)');
  await alice.composer.press('Enter');
  await expect(alice.log.getByRole('link', { name: 'bold' })).toHaveAttribute('href', 'https://example.com/x');
  const spoiler = alice.log.getByRole('button', { name: 'Hidden text. Click to show it.' });
  await spoiler.click();
  await expect(spoiler).toHaveCount(0);
});

test('commands change what they name', async ({ createUser, createGroup }) => {
  const [alice, bob, carol] = [await createUser('Alice'), await createUser('Bob'), await createUser('Carol')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.composer.pressSequentially('/to');
  await alice.page.getByRole('option', { name: '/topic' }).click();
  await alice.composer.pressSequentially('Roots and leaves');
  await alice.composer.press('Enter');
  await expect(
    alice.page.getByRole('region', { name: 'Conversation' }).getByText('Roots and leaves', { exact: true }),
  ).toBeVisible();
  await alice.send('/me waves');
  await expect(alice.log.getByRole('emphasis')).toHaveText('waves');
  await alice.send('/shrug no idea');
  await expect(alice.message('no idea ¯\\_(ツ)_/¯')).toBeVisible();
  await alice.send(`/invite @${carol.me.username}`);
  await expect(alice.page.getByRole('complementary', { name: 'Members' })).toContainText('Carol');
  await alice.send('/nick Alicia');
  await expect(alice.page.getByRole('navigation').getByRole('button', { name: /Alicia/ })).toBeVisible();
  await alice.send('/usr/bin is a path');
  await expect(alice.message('/usr/bin is a path')).toBeVisible();
});

test('typing goes into the composer, and dialogs focus their first field', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await alice.sendStored('hello');
  await alice.message('hello').click();
  await alice.page.keyboard.type('perhaps');
  await expect(alice.composer).toHaveValue('perhaps');
  await expect(alice.composer).toBeFocused();
  await alice.composer.fill('');
  await alice.page.getByRole('button', { name: 'New message' }).first().click();
  await expect(alice.page.getByLabel('Search people')).toBeFocused();
  await alice.page.getByRole('button', { name: /^Bob/ }).click();
  await alice.page.getByRole('button', { name: 'Open', exact: true }).click();
  await expect(alice.page.getByRole('heading', { level: 2, name: 'Bob' })).toBeVisible();
  await expect(alice.composer).toBeFocused();
});

test('the keys of a focused message act on it', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.sendStored('first');
  await alice.sendStored('second');
  /** Focuses the last message, after which there are system messages. */
  const focusLast = async (following = 0) => {
    await alice.log.focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown']) await alice.page.keyboard.press(key);
    for (let nth = 0; nth < following; nth += 1) await alice.page.keyboard.press('ArrowUp');
    await expect(alice.message('second')).toBeFocused();
  };
  await focusLast();
  await alice.page.keyboard.press('r');
  await expect(alice.page.getByText('Replying to')).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await focusLast();
  await alice.page.keyboard.press('p');
  await expect(alice.message('second').getByRole('img', { name: 'Pinned' })).toBeVisible();
  await expect(alice.message('Alice pinned a message')).toHaveCount(1);
  await focusLast(1);
  await alice.page.keyboard.press('+');
  await expect(alice.page.getByRole('searchbox', { name: 'Search emoji' })).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await focusLast(1);
  await alice.page.keyboard.press('Delete');
  await expect(alice.page.getByRole('alertdialog')).toBeVisible();
  await alice.page.keyboard.press('Escape');
  await expect(alice.page.getByRole('alertdialog')).toBeHidden();
  await focusLast(1);
  await alice.page.keyboard.press('e');
  await expect(alice.page.getByRole('textbox', { name: 'Edit' })).toBeFocused();
});

test('the reply target survives a reload, and an own message does not change its group', async ({
  createUser,
  createGroup,
}) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.sendStored('the question');
  await alice.message('the question').hover();
  await alice.page.getByRole('button', { name: 'Reply' }).click();
  await alice.page.reload();
  await expect(alice.page.getByText('Replying to')).toContainText('the question');
  await alice.page.getByRole('button', { name: 'Cancel reply' }).click();

  // Watch each state of the row of a second message.
  await alice.page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    new MutationObserver(() => {
      const row = [...document.querySelectorAll('article')].find((one) => one.textContent?.includes('follow-up'));
      const state = row?.dataset.groupStart;
      if (state && seen.at(-1) !== state) seen.push(state);
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await alice.sendStored('follow-up');
  expect(await alice.page.evaluate(() => Reflect.get(globalThis, 'seen'))).toEqual(['false']);
});

test('on a touch screen Enter makes a new line', async ({ createUser, createGroup }) => {
  const touch = { hasTouch: true, isMobile: true, viewport: { width: 390, height: 800 } };
  const [alice, bob] = [await createUser('Alice', touch), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  await alice.composer.fill('one');
  await alice.composer.press('Enter');
  await alice.composer.pressSequentially('two');
  await expect(alice.composer).toHaveValue('one\ntwo');
  await alice.page.getByRole('button', { name: 'Send' }).tap();
  await expect(alice.message('two')).toBeVisible();
  const small = await alice.page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('button, input, textarea, select, a[href]')]
      .filter((one) => one.checkVisibility() && !one.closest('article, .visually-hidden'))
      .filter((one) => one.getBoundingClientRect().width > 0)
      .filter((one) => Math.round(one.getBoundingClientRect().height) < 44 && one.tagName !== 'TEXTAREA')
      .map((one) => one.getAttribute('aria-label') ?? one.textContent),
  );
  expect(small).toEqual([]);
  expect(
    await alice.composer.evaluate((field) => Number.parseFloat(getComputedStyle(field).fontSize)),
  ).toBeGreaterThanOrEqual(16);
});

test('the picker shows the name of an emoji, jumps to a group, and keeps a skin tone', async ({
  createUser,
  createGroup,
}) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await alice.open(await createGroup(alice, bob));
  const { page } = alice;
  await page.getByRole('button', { name: 'Insert emoji' }).click();
  const picker = page.getByRole('dialog', { name: 'Emoji' });
  await picker.getByRole('button', { name: 'Flags', exact: true }).click();
  await expect(picker.getByRole('button', { name: 'chequered flag' })).toBeInViewport();
  await picker.getByRole('radio', { name: 'Medium-dark' }).check({ force: true });
  await picker.getByRole('searchbox').fill('waving hand');
  const hand = picker.getByRole('button', { name: 'waving hand', exact: true });
  await hand.hover();
  await expect(picker.getByText(':wave:')).toBeVisible();
  await page.screenshot({ path: '../../screenshots/emoji-skin-tone.png' });
  await hand.click();
  await expect(alice.composer).toHaveValue('👋🏾');
  await alice.composer.fill('');
  await page.reload();
  await page.getByRole('button', { name: 'Insert emoji' }).click();
  await expect(picker.getByRole('region', { name: 'Recently used' }).getByRole('button')).toHaveText(['👋🏾']);
  await expect(picker.getByRole('radio', { name: 'Medium-dark' })).toBeChecked();
  await page.screenshot({ path: '../../screenshots/emoji-tabs.png' });
});
