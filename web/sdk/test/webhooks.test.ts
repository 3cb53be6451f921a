/** Clients of other products post to incoming webhooks of the real server, unchanged. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { IncomingWebhook } from '@slack/webhook';
import { AttachmentBuilder, EmbedBuilder, WebhookClient } from 'discord.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChatClient, createChatClient, type Message, memoryStorage, Session } from '../src/index.js';
import { TestServer } from './server.js';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));
const run = promisify(execFile);

let server: TestServer;
let alice: ChatClient;
let chatId: number;
let webhook: { id: number; token: string; url: string };

beforeAll(async () => {
  server = await TestServer.start();
  const session = new Session(server.url, { storage: memoryStorage() });
  await session.signIn({ email: 'alice@example.com', password: 'confab-demo' });
  alice = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
  chatId = (await alice.api.chats.list()).find(({ name }) => name === 'team')?.id ?? 0;
  webhook = await alice.api.webhooks.create(chatId, { name: 'Programs' });
}, 60_000);
afterAll(() => server.stop());

async function newest(count = 1): Promise<Message[]> {
  return (await alice.api.messages.list(chatId, { limit: count })).items;
}

test('discord.js sends, edits and deletes', async () => {
  const { id, token } = webhook;
  const client = new WebhookClient({ id: String(id), token }, { rest: { api: `${server.url}/api` } });
  const embed = new EmbedBuilder()
    .setTitle('Build 7')
    .setURL('https://ci.example/7')
    .setColor(0x2da44e)
    .addFields({ name: 'tests', value: '12', inline: true })
    .setTimestamp(new Date('2026-01-02T03:04:05Z'));
  const sent = await client.send({ content: 'passed', username: 'CI', embeds: [embed] });
  const [message] = await newest();
  expect(message).toMatchObject({ id: Number(sent.id), content: 'passed', author: { name: 'CI' } });
  expect(message?.embeds[0]).toMatchObject({
    title: 'Build 7',
    fields: [{ name: 'tests', value: '12', inline: true }],
  });

  await client.editMessage(sent.id, { content: 'passed twice' });
  expect((await client.fetchMessage(sent.id)).content).toBe('passed twice');
  await client.deleteMessage(sent.id);
  await expect(client.fetchMessage(sent.id)).rejects.toThrow();

  const log = new AttachmentBuilder(Buffer.from('line 1'), { name: 'build.log' });
  await client.send({ content: 'a log', files: [log] });
  const [withFile] = await newest();
  expect(withFile?.files.map(({ filename }) => filename)).toEqual(['build.log']);
  client.destroy();
});

test('@slack/webhook sends text, blocks and attachments', async () => {
  const slack = new IncomingWebhook(`${server.url}${webhook.url}/slack`);
  const result = await slack.send({
    text: 'for notifications',
    blocks: [{ type: 'section', text: { type: 'mrkdwn', text: '*deployed* to <https://example.com|production>' } }],
    attachments: [{ color: 'good', title: 'Release 7', fields: [{ title: 'region', value: 'eu', short: true }] }],
  });
  expect(result.text).toBe('ok');
  const [message] = await newest();
  expect(message?.content).toBe('**deployed** to [production](https://example.com)');
  expect(message?.embeds[0]).toMatchObject({ title: 'Release 7', color: 0x2eb886 });
});

test('PyPI discord-webhook sends an embed and a file, and edits', async () => {
  const script = `
import sys
from discord_webhook import DiscordEmbed, DiscordWebhook
webhook = DiscordWebhook(url=sys.argv[1], content="from Python", username="Cron", wait=True)
embed = DiscordEmbed(title="Report", description="all **well**", color="03b2f8")
embed.set_timestamp()
webhook.add_embed(embed)
webhook.add_file(file=b"a,b", filename="report.csv")
assert webhook.execute().status_code == 200
webhook.content = "edited by Python"
assert webhook.edit().status_code == 200
`;
  await run(PYTHON, ['-c', script, `${server.url}${webhook.url}`]);
  const [message] = await newest();
  expect(message).toMatchObject({ content: 'edited by Python', author: { name: 'Cron' } });
  expect(message?.embeds[0]).toMatchObject({ title: 'Report', color: 0x03b2f8 });
  expect(message?.files.map(({ filename }) => filename)).toEqual(['report.csv']);
});

test('apprise sends with its URL for Mattermost', async () => {
  const script = `
import sys
import apprise
client = apprise.Apprise()
assert client.add(sys.argv[1])
assert client.notify(title="Backup", body="finished")
`;
  await run(PYTHON, ['-c', script, `${server.url}${webhook.url}`.replace('http://', 'mmost://')]);
  const [message] = await newest();
  expect(message?.content).toContain('finished');
});

test('every example of GitHub is accepted, and the usual ones are readable', async () => {
  const require = createRequire(import.meta.url);
  const examples: {
    name: string;
    examples: object[];
  }[] = require('@octokit/webhooks-examples/api.github.com/index.json');
  const titles = new Map<string, string[]>();
  let count = 0;
  for (const { name, examples: payloads } of examples) {
    for (const payload of payloads) {
      count += 1;
      const response = await fetch(`${server.url}${webhook.url}/github`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-github-event': name,
          'x-github-delivery': `delivery-${count}`,
        },
        body: JSON.stringify(payload),
      });
      expect(response.status, `${name} ${await response.text()}`).toBe(204);
      if (['issues', 'pull_request', 'push', 'release', 'star', 'check_run'].includes(name)) {
        const [message] = await newest();
        titles.set(name, [...(titles.get(name) ?? []), message?.embeds[0]?.title ?? '']);
      }
    }
  }
  expect(count).toBeGreaterThan(300);
  expect(titles.get('issues')?.[0]).toMatch(/^\[\S+\/\S+\] Issue #\d+ /);
  expect(titles.get('pull_request')?.[0]).toMatch(/^\[\S+\/\S+\] Pull request #\d+ /);
  expect(titles.get('push')?.join()).toMatch(/(commit|Deleted|Created)/);
  expect(titles.get('release')?.[0]).toMatch(/Release /);
  expect(titles.get('star')?.join()).toContain('Starred the repository');
}, 60_000);
