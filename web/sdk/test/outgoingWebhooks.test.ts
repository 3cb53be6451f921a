/** Receivers verify outgoing webhooks of the real server with the libraries of Standard Webhooks. */
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChatClient, createChatClient, memoryStorage, Session } from '../src/index.js';
import { TestServer } from './server.js';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));
const run = promisify(execFile);

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

let server: TestServer;
let receiver: Server;
let alice: ChatClient;
let chatId: number;
let url: string;
let onReceived: (received: Received) => void = () => {};

/** Returns the next request to the receiver. */
const next = () => new Promise<Received>((resolve) => (onReceived = resolve));

beforeAll(async () => {
  server = await TestServer.start();
  receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    response.writeHead(204).end();
    onReceived({ headers: request.headers as Record<string, string>, body });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/events`;
  const session = new Session(server.url, { storage: memoryStorage() });
  await session.signIn({ email: 'alice@example.com', password: 'confab-demo' });
  alice = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
  chatId = (await alice.api.chats.list()).find(({ name }) => name === 'team')?.id ?? 0;
}, 60_000);
afterAll(async () => {
  receiver.close();
  await server.stop();
});

test('npm and PyPI standardwebhooks verify a delivery, and refuse a changed one', async () => {
  const { id, secret } = await alice.api.webhookEndpoints.create({ url, event_types: ['message.new'] });
  const received = next();
  await alice.messages.send(chatId, { content: 'Grüße 🎉' });
  const { headers, body } = await received;

  const verified = new Webhook(secret).verify(body, headers) as { type: string; data: { message: object } };
  expect(verified).toMatchObject({ type: 'message.new', data: { message: { content: 'Grüße 🎉' } } });
  expect(() => new Webhook(secret).verify(body.replace('Grüße', 'grüße'), headers)).toThrow();
  expect(() => new Webhook(`whsec_${btoa('another secret of 24 b..')}`).verify(body, headers)).toThrow();

  const script = `
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
secret, headers, body = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
print(Webhook(secret).verify(body, headers)["data"]["message"]["content"])
try:
    Webhook(secret).verify(body + " ", headers)
    sys.exit("a changed body was accepted")
except WebhookVerificationError:
    pass
`;
  const { stdout } = await run(PYTHON, ['-c', script, secret, JSON.stringify(headers), body]);
  expect(stdout.trim()).toBe('Grüße 🎉');
  await alice.api.webhookEndpoints.delete(id);
});

test('after a rotation both secrets verify', async () => {
  const { id, secret } = await alice.api.webhookEndpoints.create({ url });
  const rotated = await alice.api.webhookEndpoints.rotateSecret(id);
  const received = next();
  await alice.api.webhookEndpoints.sendTest(id);
  const { headers, body } = await received;
  for (const one of [secret, rotated.secret]) {
    expect(new Webhook(one).verify(body, headers)).toMatchObject({ type: 'test', data: { endpoint_id: id } });
  }
  await alice.api.webhookEndpoints.delete(id);
});
