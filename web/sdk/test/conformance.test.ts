/** The conformance suite of MCP tests the real server: the scenarios that need no tools of the suite's own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as forward, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuthorizationRequest, type ChatClient, createChatClient, memoryStorage, Session } from '../src/index.js';
import { TestServer } from './server.js';

/** `scripts/setup test` installs the suite and its version of Node here. */
const FOLDER = fileURLToPath(new URL('../../../target/conformance/node_modules', import.meta.url));
const NODE = join(FOLDER, '.bin/node');
const SUITE = join(FOLDER, '@modelcontextprotocol/conformance/dist/index.js');
const CALLBACK_PORT = 3_999;

/** The scenarios, and how many of their checks need tools of the suite's own. */
const SCENARIOS = [
  ['server-initialize', 0],
  ['ping', 0],
  ['tools-list', 0],
  ['prompts-list', 0],
  ['resources-list', 0],
  ['sep-2164-resource-not-found', 0],
  ['caching', 0],
  ['http-header-validation', 0],
  ['dns-rebinding-protection', 0],
  ['server-stateless', 4],
] as const;

let server: TestServer;
let alice: ChatClient;
let proxy: Server;
let documents: Server;

const urlOf = (listening: Server) => `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;

beforeAll(async () => {
  server = await TestServer.start({}, null);
  const session = new Session(server.url, { storage: memoryStorage() });
  await session.signIn({ email: 'alice@example.com', password: 'confab-demo' });
  alice = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
  const scopes = ['chats:read', 'messages:read', 'users:read', 'search:read', 'messages:write'] as const;
  const { token } = await alice.api.tokens.create({ name: 'conformance', scopes: [...scopes] });
  // The suite sends no token.
  proxy = createServer((incoming, answer) => {
    const { hostname, port } = new URL(server.url);
    const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
    const { url: path, method } = incoming;
    const outgoing = forward({ hostname, port, path, method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.on('error', () => answer.destroy());
    answer.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }).listen(0, '127.0.0.1');
  documents = createServer((_, answer) => {
    answer.setHeader('content-type', 'application/json');
    answer.end(
      JSON.stringify({
        client_id: `${urlOf(documents)}/client.json`,
        client_name: 'Conformance',
        redirect_uris: ['http://127.0.0.1/callback'],
      }),
    );
  }).listen(0, '127.0.0.1');
  await Promise.all([once(proxy, 'listening'), once(documents, 'listening')]);
}, 60_000);
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  documents.close();
  await server.stop();
});

function run(...options: readonly string[]): ChildProcess {
  return spawn(NODE, [SUITE, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function readOutput(child: ChildProcess): Promise<string> {
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  return output;
}

test.each(SCENARIOS)('the server passes %s', async (scenario, untestable) => {
  const output = await readOutput(run('server', '--url', `${urlOf(proxy)}/mcp`, '--scenario', scenario));
  const [, passed, failed] = /Passed: (\d+)\/\d+, (\d+) failed, 0 warnings/.exec(output) ?? [];
  expect(Number(passed), output).toBeGreaterThan(0);
  expect(Number(failed), output).toBe(untestable);
  expect(output.match(/Not testable: server does not list the diagnostic tool/g)?.length ?? 0).toBe(untestable);
});

test('the authorization server passes, with a user who agrees', async () => {
  const clientId = `${urlOf(documents)}/client.json`;
  const options = ['--client-id', clientId, '--resource', `${server.url}/mcp`, '--port', String(CALLBACK_PORT)];
  const child = run('authorization', '--url', server.url, ...options);
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    lines.push(line);
    if (!line.startsWith(`${server.url}/oauth/authorize?`)) continue;
    const request = Object.fromEntries(new URL(line).searchParams) as AuthorizationRequest;
    const { consent } = await alice.api.oauth.check(request);
    const { redirect_url } = await alice.api.oauth.authorize({ request, scopes: consent?.scopes ?? [] });
    await fetch(redirect_url);
  }
  expect(lines.join('\n')).toContain('Total: 3 passed, 0 failed');
});
