import { readdirSync, readFileSync } from 'node:fs';
import { expect, findOverflow, type TestUser, test } from './fixtures';

/** Malicious message contents. */
const PAYLOADS = [
  '<script>window.pwned = 1</script>',
  '<img src=x onerror="window.pwned = 1">',
  '<svg onload="window.pwned = 1"></svg>',
  '<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>',
  '[click](javascript:window.pwned=1)',
  '[click](JaVaScRiPt:window.pwned=1)',
  '[click](java\nscript:window.pwned=1)',
  '[click](data:text/html,<script>window.opener.pwned=1</script>)',
  '[click](vbscript:window.pwned=1)',
  '![x](javascript:window.pwned=1)',
  '![x](https://elsewhere.example/track.png)',
  '<a href="javascript:window.pwned=1">click</a>',
  '<javascript:window.pwned=1>',
  '[a]: javascript:window.pwned=1\n\n[a]',
  '```html\n<script>window.pwned = 1</script>\n```',
  '`<img src=x onerror=window.pwned=1>`',
  '&lt;script&gt;window.pwned=1&lt;/script&gt;',
  '<math><mtext></mtext><mglyph><style><img src=x onerror=window.pwned=1></style></mglyph></math>',
  `${'>'.repeat(4_000)} deep`,
  `${'*'.repeat(5_000)}a`,
  `${'['.repeat(3_000)}`,
  `${'- '.repeat(800)}x`,
  '\u202Eevil\u202C \u0000 \uFEFF \u200B zero width',
  'Z̵͎͊a̷l̸g̶o̵',
];

async function assertSafe(alice: TestUser): Promise<void> {
  await expect(alice.composer).toBeVisible();
  expect(await alice.page.evaluate(() => 'pwned' in globalThis)).toBe(false);
  const log = alice.log;
  expect(
    await log.locator('script, iframe, object, embed, form, style, link, [onerror], [onload], [onclick]').count(),
  ).toBe(0);
  const hrefs = await log
    .locator('a')
    .evaluateAll((links) => links.map((link) => new URL((link as HTMLAnchorElement).href).protocol));
  expect(hrefs.filter((protocol) => !['http:', 'https:', 'mailto:'].includes(protocol))).toEqual([]);
  const images = await log
    .locator('img')
    .evaluateAll((all) => all.map((image) => new URL((image as HTMLImageElement).src).protocol));
  expect(images.filter((protocol) => protocol !== 'blob:')).toEqual([]);
}

test('message content never runs scripts or loads remote files', async ({ createUser, createGroup }) => {
  const [alice, mallory] = [await createUser('Alice'), await createUser('Mallory')];
  const chat = await createGroup(alice, mallory);
  const externalRequests: string[] = [];
  alice.page.on('request', (request) => {
    if (!request.url().startsWith(alice.url) && !request.url().startsWith('blob:'))
      externalRequests.push(request.url());
  });
  await alice.open(chat);
  for (const content of PAYLOADS) await mallory.client.messages.send(chat, { content }).catch(() => {});
  await mallory.client.messages.send(chat, { content: 'that is all' });
  await expect(alice.message('that is all')).toBeVisible();
  await assertSafe(alice);
  for (let n = 0; n < 30; n += 1) {
    await alice.log.evaluate((scroller) => scroller.scrollBy(0, -500));
    await assertSafe(alice);
  }
  expect(externalRequests).toEqual([]);
});

test('links open in a new window without an opener', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  await bob.client.messages.send(chat, {
    content: 'see https://example.com/a?b=1&c=2 and [this](https://example.org)',
  });
  const link = alice.log.getByRole('link', { name: 'this' });
  await expect(link).toHaveAttribute('rel', /noopener/);
  await expect(link).toHaveAttribute('target', '_blank');
  await expect(alice.log.getByRole('link', { name: 'https://example.com/a?b=1&c=2' })).toHaveAttribute(
    'href',
    'https://example.com/a?b=1&c=2',
  );
});

test('an injected inline script is blocked by the CSP', async ({ createUser }) => {
  const alice = await createUser('Alice');
  await alice.page.goto(alice.url);
  const errors = await alice.page.evaluate(() => {
    const messages: string[] = [];
    const attempt = (inject: () => void) => {
      try {
        inject();
      } catch (error) {
        messages.push(String(error));
      }
    };
    attempt(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.pwned = 1';
      document.body.append(script);
    });
    attempt(() => {
      document.body.insertAdjacentHTML('beforeend', '<img src="x:" onerror="globalThis.pwned = 1">');
    });
    // A text node needs no trusted type, so only the policy for scripts blocks this one.
    const script = document.createElement('script');
    script.append('globalThis.pwned = 1');
    document.body.append(script);
    return messages;
  });
  expect(errors.filter((error) => error.includes('Trusted'))).toHaveLength(2);
  expect(await alice.page.evaluate(() => 'pwned' in globalThis)).toBe(false);
});

test('empty, oversized and mislabelled files are handled safely', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const tray = alice.page.getByRole('list', { name: 'Files to send' });
  const add = (name: string, mimeType: string, buffer: Buffer) =>
    alice.page.locator('input[type=file]').setInputFiles({ name, mimeType, buffer });

  await add('large.bin', 'application/octet-stream', Buffer.alloc(26_300_000));
  await expect(tray.getByRole('alert')).toBeVisible();
  await alice.page.getByRole('button', { name: 'Remove large.bin' }).click();

  await add('empty.txt', 'text/plain', Buffer.alloc(0));
  await expect(tray).toContainText('empty.txt');
  await expect(tray.getByRole('progressbar')).toBeHidden();
  await alice.page.getByRole('button', { name: 'Remove empty.txt' }).click();

  await add('photo.png', 'image/png', Buffer.from('<html><script>globalThis.pwned = 1</script></html>'));
  await expect(tray.getByRole('progressbar')).toBeHidden();
  await alice.send('a photo');
  // Not shown as an image, but as a download.
  await expect(alice.message('a photo').getByRole('button', { name: /^photo\.png/ })).toBeVisible();
  await expect(alice.message('a photo').locator('img')).toHaveCount(0);
  expect(await alice.page.evaluate(() => 'pwned' in globalThis)).toBe(false);
});

test('emoji names and long or RTL text do not overflow', async ({ createUser, createGroup }) => {
  const [alice, bob] = [await createUser('Alice'), await createUser('Bob')];
  await bob.api.me
    .update({ display_name: '👨‍👩‍👧‍👦'.repeat(8) })
    .catch(() => bob.api.me.update({ display_name: '🦊'.repeat(32) }));
  const chat = await createGroup(alice, bob);
  await alice.open(chat);
  const texts = [
    'a'.repeat(2_000),
    '字'.repeat(500),
    'مرحبا بالعالم',
    '🦊'.repeat(200),
    'https://example.com/'.padEnd(900, 'x'),
  ];
  for (const content of texts) await bob.client.messages.send(chat, { content });
  await expect(alice.log.getByRole('article')).toHaveCount(texts.length);
  const isOverflowing = await alice.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  expect(isOverflowing).toBe(false);
  expect(await alice.log.evaluate((scroller) => scroller.scrollWidth > scroller.clientWidth)).toBe(false);
});

test('a long name without spaces overflows no dialog', async ({ createUser }) => {
  const alice = await createUser('Alice', { viewport: { width: 390, height: 844 } });
  const chat = await alice.api.chats.create({ type: 'public_channel', name: 'W'.repeat(90) });
  await alice.client.messages.send(chat.id, { content: 'Q'.repeat(300) });
  await alice.open(chat.id);
  await expect(alice.page.getByRole('heading', { name: 'WWW', level: 3 })).toBeVisible();
  expect(await findOverflow(alice.page)).toEqual([]);
  await alice.page.getByRole('button', { name: 'Chat details' }).click();
  await alice.page.getByRole('button', { name: 'Delete chat' }).waitFor();
  expect(await findOverflow(alice.page)).toEqual([]);
  await alice.page.getByRole('button', { name: 'Delete chat' }).click();
  await expect(alice.page.getByRole('alertdialog')).toBeVisible();
  expect(await findOverflow(alice.page)).toEqual([]);
  await alice.page.getByRole('button', { name: 'Cancel' }).click();
  await alice.message(/QQQ/).hover();
  await alice.page.getByRole('button', { name: 'More' }).click();
  await alice.page.getByRole('menuitem', { name: 'Delete' }).click();
  await expect(alice.page.getByRole('alertdialog')).toBeVisible();
  expect(await findOverflow(alice.page)).toEqual([]);
});

test('the page, scripts, styles and texts of the first load stay under 190 kB', async ({ server }) => {
  const dist = new URL('../dist/', import.meta.url);
  const html = readFileSync(new URL('index.html', dist), 'utf8');
  const files = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, name]) => name);
  const catalogue = readdirSync(new URL('assets/', dist)).find((name) => /^en-.*\.js$/.test(name));
  const paths = ['index.html', ...files, `assets/${catalogue}`];
  const bytes = paths.reduce((sum, name) => sum + readFileSync(new URL(`${name}.br`, dist)).length, 0);
  console.log(`${paths.length} files, ${(bytes / 1_000).toFixed(1)} kB compressed`);
  expect(bytes).toBeLessThanOrEqual(190_000);
  for (const [accepted, coding] of [
    ['gzip, deflate, br', 'br'],
    ['gzip', 'gzip'],
    ['identity', null],
  ] as const) {
    const response = await fetch(`${server.url}/${files[0]}`, { headers: { 'accept-encoding': accepted } });
    expect(response.headers.get('content-encoding')).toBe(coding);
    expect(await response.text()).toBe(readFileSync(new URL(files[0] ?? '', dist), 'utf8'));
  }
});

test('a link whose text shows another address asks first', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice');
  const chat = await createGroup(alice);
  const send = (content: string) => alice.client.messages.send(chat, { content });
  await send('[https://bank.example](https://evil.example/login)');
  await send('[Go to bank.example now](https://evil.example/2) [\u200bhttps://bank.example/3](https://evil.example/3)');
  await send('[bank.example](https://www.bank.example/login) and [read this](https://other.example)');
  await send('**「重要」**です https://shop.example/a。次');
  await alice.open(chat);
  await alice.page.context().route('**/*.example/**', (route) => route.fulfill({ body: 'opened' }));
  await alice.page.getByRole('link', { name: 'https://bank.example', exact: true }).click();
  const dialog = alice.page.getByRole('alertdialog');
  await expect(dialog).toContainText('The text says https://bank.example, but the link opens evil.example.');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await alice.page.getByRole('link', { name: 'Go to bank.example now' }).click();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await alice.page.getByRole('link', { name: 'https://bank.example/3' }).click({ button: 'middle' });
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  for (const name of ['bank.example', 'read this']) {
    const [popup] = await Promise.all([
      alice.page.context().waitForEvent('page'),
      alice.page.getByRole('link', { name, exact: true }).click(),
    ]);
    await popup.close();
  }
  const message = alice.message('です');
  await expect(message.getByRole('link')).toHaveAttribute('href', 'https://shop.example/a');
  await expect(message.locator('strong')).toContainText('「重要」');
});

test('a line after a quote is not part of it', async ({ createUser, createGroup }) => {
  const alice = await createUser('Alice');
  const chat = await createGroup(alice);
  await alice.client.messages.send(chat, { content: '> quoted words\nmy reply' });
  await alice.open(chat);
  await expect(alice.log.locator('blockquote')).toHaveText('quoted words');
  await expect(alice.message('my reply')).toBeVisible();
});
