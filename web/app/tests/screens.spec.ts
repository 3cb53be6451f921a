import { AxeBuilder } from '@axe-core/playwright';
import { type ChatClient, createChatClient, memoryStorage, Session } from '@confab/sdk';
import type { BrowserContextOptions, Page } from '@playwright/test';
import { expect, findOverflow, test } from './fixtures';

const SCREENSHOT_DIR = new URL('../../../screenshots/', import.meta.url).pathname;

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
  deviceScaleFactor: 2,
};

/** An API client of a demo user. */
async function createDemoClient(url: string, name: string): Promise<ChatClient> {
  const session = new Session(url, { storage: memoryStorage() });
  await session.signIn({ email: `${name}@example.com`, password: 'confab-demo' });
  return createChatClient({ baseUrl: url, getToken: session.getToken, storage: memoryStorage() });
}

/** Signs in as a demo user with a click. */
async function signInAs(page: Page, url: string, name: string): Promise<void> {
  await page.goto(url);
  await page.getByRole('button', { name: new RegExp(`^${name}`, 'i') }).click();
  await expect(page.getByRole('navigation', { name: 'Chats' })).toBeVisible();
}

/** Lists the serious accessibility violations of a page. */
async function findViolations(page: Page): Promise<string[]> {
  // The focus guards of a dialog pass the focus on and never keep it.
  const { violations } = await new AxeBuilder({ page }).exclude('[data-base-ui-focus-guard]').analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary?.slice(0, 240)}`),
    );
}

/** Creates a realistic conversation. */
async function seedConversation(url: string, picture: Buffer): Promise<number> {
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => createDemoClient(url, name)));
  if (!alice || !bob || !carol) throw new Error('a demo user is missing');
  const chat = (await alice.api.chats.list()).find(({ name }) => name === 'team');
  if (!chat) throw new Error('the team chat is missing');
  const { messages } = bob;
  await messages.send(chat.id, { content: 'The new build is up. Who wants to break it?' });
  const carolMessage = await carol.messages.send(chat.id, {
    content: 'Me! I killed Postgres **three times** while typing this.',
  });
  const file = await carol.uploads.start(new File([new Uint8Array(picture)], 'still-here.png', { type: 'image/png' }));
  await carol.messages.send(chat.id, { content: 'Everything is still there:', files: [file.id] });
  await alice.messages.send(chat.id, { content: '@carol how long until it came back?', reply_to: carolMessage.id });
  await carol.messages.send(chat.id, {
    content:
      'Under a second. The page said nothing, it just caught up:\n\n```ts\nchat.on("message.new", show);\nawait chat.connect(cursor); // resumes from here\n```',
  });
  await Promise.all([
    alice.api.messages.react(carolMessage.id, '🎉'),
    bob.api.messages.react(carolMessage.id, '🎉'),
    bob.api.messages.react(carolMessage.id, '👀'),
  ]);
  const last = await bob.messages.send(chat.id, { content: 'Nice. Merging.' });
  await alice.api.messages.react(last.id, '👍');
  await bob.messages.send((await bob.api.chats.list()).find(({ type }) => type === 'single')?.id ?? 0, {
    content: 'Lunch?',
  });
  return chat.id;
}

let seededChat: Promise<number> | null = null;

for (const [device, options] of [
  ['desktop', DESKTOP],
  ['phone', PHONE],
] as const) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`every screen is accessible: ${device}, ${colorScheme}`, async ({ browser, server }) => {
      test.setTimeout(180_000);
      const context = await browser.newContext({ ...options, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      const consoleErrors: string[] = [];
      page.on('console', (message) => message.type() === 'error' && consoleErrors.push(message.text()));
      page.on('pageerror', (error) => consoleErrors.push(error.message));
      const problems: string[] = [];
      const capture = async (name: string) => {
        await page.screenshot({ path: `${SCREENSHOT_DIR}${name}-${device}-${colorScheme}.png` });
        problems.push(...(await findOverflow(page)).map((part) => `${name}: overflow: ${part}`));
        // Check each layout and each color scheme once.
        if ((device === 'desktop') === (colorScheme === 'light')) {
          problems.push(...(await findViolations(page)).map((fault) => `${name}: ${fault}`));
        }
      };
      const clickButton = (label: string) => page.getByRole('button', { name: label }).first().click();

      await page.goto(server.url);
      await expect(page.getByRole('button', { name: /Alice/ })).toBeVisible();
      await capture('sign-in');
      seededChat ??= seedConversation(server.url, await page.screenshot({ animations: 'disabled' }));
      const chat = await seededChat;
      await clickButton('Sign up');
      await page.getByLabel('Username').fill('x');
      await page.getByLabel('Email').fill('new@example.com');
      await page.getByLabel('Password').fill('short');
      await page.getByRole('button', { name: 'Create account' }).click();
      await expect(page.getByRole('textbox', { name: 'Username' })).toHaveAttribute('aria-invalid', 'true');
      await capture('sign-in-error');
      // The 422 response is expected.
      consoleErrors.length = 0;

      await signInAs(page, server.url, 'Alice');
      await capture('chats');
      await page.locator(`a[href="/chats/${chat}"]`).click();
      await expect(page.getByText('Nice. Merging.').last()).toBeVisible();
      await expect(page.getByRole('img', { name: 'still-here.png' })).toBeVisible();
      await expect(page.locator('pre .hljs-keyword').first()).toBeVisible();
      await capture('chat');

      await page.getByRole('article').filter({ hasText: 'Nice. Merging.' }).hover();
      await page
        .getByRole('article')
        .filter({ hasText: 'Nice. Merging.' })
        .getByRole('button', { name: 'More' })
        .click();
      await expect(page.getByRole('menuitem', { name: 'Copy link' })).toBeVisible();
      await capture('menu');
      await page.keyboard.press('Escape');

      await page
        .getByRole('article')
        .filter({ hasText: 'Nice. Merging.' })
        .getByRole('button', { name: 'Add reaction' })
        .click();
      await expect(page.getByRole('button', { name: 'grinning face', exact: true })).toBeVisible();
      await capture('emoji');
      await page.keyboard.press('Escape');

      await page.getByRole('combobox', { name: /^Message/ }).fill('@');
      await page.getByRole('combobox', { name: /^Message/ }).press('b');
      await expect(page.getByRole('listbox', { name: 'Suggestions' })).toBeVisible();
      await capture('mention');
      await page.keyboard.press('Escape');
      await page.getByRole('combobox', { name: /^Message/ }).fill('');

      for (const [label, name] of [
        ['Search', 'search'],
        ['Pinned', 'pins'],
        ['Members', 'members'],
      ] as const) {
        const panel = page.getByRole('complementary', { name: label });
        if (!(await panel.isVisible())) await clickButton(label);
        await expect(panel).toBeVisible();
        if (name === 'search') {
          await page.getByRole('combobox', { name: 'Search messages' }).fill('broke OR build');
          await page.getByRole('combobox', { name: 'Search messages' }).fill('build');
          await expect(panel.getByRole('button', { name: /new build/ })).toBeVisible();
        }
        await capture(name);
        await panel.getByRole('button', { name: 'Close' }).click();
      }

      await page.getByRole('button', { name: 'Open still-here.png' }).click();
      await expect(page.getByRole('dialog').getByRole('img')).toBeVisible();
      await capture('lightbox');
      await page.keyboard.press('Escape');
      await clickButton('Chat details');
      await expect(page.getByRole('dialog')).toBeVisible();
      await capture('about');
      await page.getByRole('tab', { name: 'Invites' }).click();
      await expect(page.getByText('No active invites')).toBeVisible();
      await capture('about-invitations');
      await page.getByRole('tab', { name: 'About' }).click();
      await page.getByRole('button', { name: 'Delete chat' }).click();
      await expect(page.getByRole('alertdialog')).toBeVisible();
      await capture('confirm');
      await page.keyboard.press('Escape');

      await page.goto(server.url);
      for (const [label, name] of [
        ['New message', 'new-chat'],
        ['Browse channels', 'browse-channels'],
        ['Find a chat', 'switcher'],
        ['Settings', 'settings'],
      ] as const) {
        await page.getByRole('navigation').getByRole('button', { name: label }).last().click();
        await expect(page.getByRole('dialog')).toBeVisible();
        if (name === 'settings') {
          for (const tab of ['Sessions', 'Blocked', 'This device', 'Notifications', 'Account', 'Profile']) {
            await page.getByRole('tab', { name: tab }).click();
            await capture(`settings-${tab.toLowerCase().replace(' ', '-')}`);
          }
        }
        await capture(name);
        await page.keyboard.press('Escape');
        await expect(page.getByRole('dialog')).toBeHidden();
      }
      await page.goto(`${server.url}/inbox`);
      await expect(page.getByRole('region', { name: 'Inbox' }).getByRole('listitem').first()).toBeVisible();
      await capture('inbox');
      await page.goto(`${server.url}/debug`);
      await expect(page.getByText('→ live')).toBeVisible();
      await capture('debug');
      await page.goto(`${server.url}/chats/999999`);
      await expect(page.getByText('Chat not found')).toBeVisible();
      await capture('not-found');
      // The 404 response is expected.
      consoleErrors.splice(
        consoleErrors.findIndex((text) => text.includes('404')),
        1,
      );

      expect(problems).toEqual([]);
      expect(consoleErrors).toEqual([]);
      await context.close();
    });
  }
}

test('sign in, send and reply with the keyboard alone', async ({ browser, server }) => {
  const context = await browser.newContext(DESKTOP);
  const page = await context.newPage();
  await page.goto(server.url);
  await expect(page.getByRole('button', { name: /Dave/ })).toBeVisible();
  const tabTo = async (name: RegExp) => {
    for (let n = 0; n < 40; n += 1) {
      const focused = page.locator(':focus');
      if ((await focused.count()) > 0) {
        const label = (await focused.getAttribute('aria-label')) ?? (await focused.innerText());
        if (name.test(label)) return;
      }
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab does not reach ${name}`);
  };
  await tabTo(/Dave/);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('navigation', { name: 'Chats' })).toBeVisible();
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('combobox', { name: 'Find a chat' })).toBeFocused();
  await page.keyboard.type('gene');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('combobox', { name: 'Message #general' })).toBeFocused();
  await page.keyboard.type('Said without a mouse');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article').filter({ hasText: 'Said without a mouse' })).toBeVisible();
  // Move the focus from the composer back to the messages, the last message and its actions.
  await page.keyboard.press('Shift+Tab');
  await tabTo(/^Messages$/);
  await page.keyboard.press('ArrowUp');
  await expect(page.locator('article:focus')).toContainText('Said without a mouse');
  await tabTo(/^Reply$/);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('combobox', { name: 'Message #general' })).toBeFocused();
  await page.keyboard.type('and answered');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('article').filter({ hasText: 'and answered' })).toContainText('Said without a mouse');
  await page.keyboard.press('Control+/');
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await context.close();
});

test('on a phone one pane is shown at a time', async ({ browser, server }) => {
  const context = await browser.newContext(PHONE);
  const page = await context.newPage();
  await signInAs(page, server.url, 'Carol');
  const list = page.getByRole('navigation', { name: 'Chats' });
  await list.getByRole('link', { name: /general/ }).tap();
  await expect(list).toBeHidden();
  await page.getByRole('combobox', { name: /^Message/ }).fill('from my pocket');
  await expect(page.getByRole('button', { name: 'Send' })).toBeInViewport({ ratio: 1 });
  await expect(page.getByRole('button', { name: 'Chat details' }).last()).toBeInViewport({ ratio: 1 });
  await page.getByRole('button', { name: 'Send' }).tap();
  const mine = page.getByRole('article').filter({ hasText: 'from my pocket' });
  await mine.getByText('from my pocket').tap();
  await page.getByRole('button', { name: 'React with ❤️' }).tap();
  await expect(mine.getByRole('button', { name: '❤️, 1' })).toBeVisible();
  await page.getByRole('button', { name: 'Members' }).tap();
  await expect(page.getByRole('complementary', { name: 'Members' })).toBeVisible();
  await page.getByRole('complementary', { name: 'Members' }).getByRole('button', { name: 'Close' }).tap();
  await page.getByRole('button', { name: 'Back to chats' }).tap();
  await expect(list).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await context.close();
});

test('on a phone the message actions work by tap', async ({ browser, server }) => {
  const context = await browser.newContext(PHONE);
  const page = await context.newPage();
  await signInAs(page, server.url, 'Dave');
  await page.getByRole('link', { name: /general/ }).tap();
  const message = (text: string) => page.getByRole('article').filter({ hasText: text });
  for (const text of ['Welcome to Confab', 'Did that twice', 'Where do I report']) {
    await message(text).getByText(text).tap();
    await page.getByRole('button', { name: 'Reply', exact: true }).tap();
    await expect(page.getByText('Replying to')).toBeVisible();
    await page.getByRole('button', { name: 'Cancel reply' }).tap();
    await message(text).getByText(text).tap();
    await page.getByRole('button', { name: 'More', exact: true }).tap();
    await page.getByRole('menuitem', { name: 'Copy text' }).tap();
    await expect(page.getByRole('menu')).toBeHidden();
  }
  await context.close();
});

test('two demo users chat from two windows of one browser', async ({ browser, server }) => {
  const context = await browser.newContext(DESKTOP);
  const [one, other] = [await context.newPage(), await context.newPage()];
  await signInAs(one, server.url, 'Alice');
  // A new window uses the last account.
  await other.goto(server.url);
  await other.getByRole('navigation', { name: 'Chats' }).getByRole('button', { name: /Alice/ }).click();
  await other.getByRole('menuitem', { name: 'Add an account' }).click();
  await signInAs(other, server.url, 'Bob');
  await one.getByRole('link', { name: /general/ }).click();
  await other.getByRole('link', { name: /general/ }).click();
  await one.getByRole('combobox', { name: /^Message/ }).fill('in the other window');
  await one.keyboard.press('Enter');
  await expect(other.getByRole('article').filter({ hasText: 'in the other window' })).toBeVisible();
  // Each window keeps its user.
  await one.reload();
  await expect(one.getByRole('navigation', { name: 'Chats' })).toContainText('Alice');
  await other.reload();
  await expect(other.getByRole('navigation', { name: 'Chats' })).toContainText('Bob');
  // One window signs out; the other stays signed in.
  await one.getByRole('navigation', { name: 'Chats' }).getByRole('button', { name: /Alice/ }).click();
  await one.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(one.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await expect(other.getByRole('combobox', { name: /^Message/ })).toBeVisible();
  await context.close();
});
