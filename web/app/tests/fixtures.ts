import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ChatClient, createChatClient, type Me, memoryStorage, Session } from '@confab/sdk';
import {
  type BrowserContext,
  type BrowserContextOptions,
  test as base,
  expect,
  type Locator,
  type Page,
} from '@playwright/test';
import { TestServer } from '../../sdk/test/server';

/** A new user with a browser and an API client. */
export class TestUser {
  constructor(
    readonly me: Me,
    readonly password: string,
    /** Sets up through the API what is not under test. */
    readonly client: ChatClient,
    readonly context: BrowserContext,
    readonly page: Page,
    readonly url: string,
  ) {}

  get api(): ChatClient['api'] {
    return this.client.api;
  }

  /** Opens a chat. */
  async open(chatId: number, messageId?: number): Promise<void> {
    await this.page.goto(`${this.url}/chats/${chatId}${messageId ? `/${messageId}` : ''}`);
    await expect(this.log).toBeVisible();
  }

  get log(): Locator {
    return this.page.getByRole('log');
  }

  get composer(): Locator {
    return this.page.getByRole('combobox', { name: /^Message/ });
  }

  /** Sends a message through the composer. */
  async send(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** Sends a message, and waits until it is stored: then its row does not change any more. */
  async sendStored(text: string): Promise<void> {
    await this.send(text);
    await expect(this.message(text)).toHaveCount(1);
    await expect(this.log.locator('[data-pending]')).toHaveCount(0);
  }

  /** Returns the message that contains a text. */
  message(text: string | RegExp): Locator {
    return this.log.getByRole('article').filter({ hasText: text });
  }
}

interface Fixtures {
  readonly server: TestServer;
  /** Creates a user and opens a browser for them. */
  readonly createUser: (name: string, options?: BrowserContextOptions) => Promise<TestUser>;
  /** Creates a group of users. */
  readonly createGroup: (owner: TestUser, ...others: readonly TestUser[]) => Promise<number>;
}

let nextId = 0;

/** One real server per worker, and new users for each test. */
export const test = base.extend<Omit<Fixtures, 'server'>, Pick<Fixtures, 'server'>>({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the required fixtures from this parameter
    async ({}, use) => {
      const server = await TestServer.start();
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  createUser: async ({ server, browser }, use) => {
    const contexts: BrowserContext[] = [];
    const pageErrors: string[] = [];
    await use(async (name, options) => {
      nextId += 1;
      const [email, password] = [`${name}${nextId}@example.com`, 'a-long-enough-word-7'];
      const storage = memoryStorage();
      const session = new Session(server.url, { storage });
      const me = await session.signUp({ username: `${name}${nextId}`, email, password });
      const client = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
      await client.api.me.update({ display_name: name });
      const context = await browser.newContext(options);
      contexts.push(context);
      // The browser gets its own session.
      const browserStorage = memoryStorage();
      await new Session(server.url, { storage: browserStorage }).signIn({ email, password });
      const account = { id: me.id, username: me.username, displayName: name };
      const items = {
        [`confab.session.${me.id}`]: browserStorage.getItem('confab.session') ?? '',
        'confab.accounts': JSON.stringify([account]),
      };
      const page = await context.newPage();
      page.on('pageerror', (error) => pageErrors.push(error.stack ?? error.message));
      await page.goto(`${server.url}/icon.svg`);
      await page.evaluate((all) => {
        for (const [key, value] of Object.entries(all)) localStorage.setItem(key, value);
      }, items);
      return new TestUser(me, password, client, context, page, server.url);
    });
    for (const context of contexts) await context.close();
    expect(pageErrors, 'no page has uncaught errors').toEqual([]);
  },
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the required fixtures from this parameter
  createGroup: async ({}, use) => {
    await use(async (owner, ...others) => {
      nextId += 1;
      const members = others.map(({ me }) => me.id);
      const chat = await owner.api.chats.create({ type: 'group', name: `group ${nextId}`, members });
      return chat.id;
    });
  },
});

export { expect } from '@playwright/test';

/** Inserts messages into the database. */
export async function insertMessages(
  server: TestServer,
  chatId: number,
  senderId: number,
  count: number,
): Promise<void> {
  await sql(
    server,
    `insert into messages (chat_id, sender_id, content)
     select ${chatId}, ${senderId}, 'message ' || n || case when n % 7 = 0 then repeat(' and more of it', n % 40) else '' end
     from generate_series(1, ${count}) n`,
  );
}

/** Lists the elements that overflow the dialog or the window. */
export function findOverflow(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const layer = document.querySelector('[role=dialog], [role=alertdialog]');
    const right = layer ? layer.getBoundingClientRect().right : innerWidth;
    return [...(layer ?? document.body).querySelectorAll('*')]
      .filter((one) => one.getBoundingClientRect().right > right + 1 && !one.closest('.visually-hidden, pre'))
      .map((one) => `${one.tagName} ${one.className} ${one.textContent?.slice(0, 40)}`);
  });
}

/** Runs SQL in the server's database. */
export async function sql(server: TestServer, text: string): Promise<string> {
  const socket = join(server.folder, 'data', 'postgres', 'socket');
  const { stdout } = await promisify(execFile)('psql', ['-h', socket, '-U', 'confab', '-d', 'confab', '-Atc', text]);
  return stdout.trim();
}
