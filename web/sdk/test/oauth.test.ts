/** The official MCP clients get their tokens from the real server by OAuth 2.1. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  Client,
  type OAuthClientProvider,
  type OAuthTokens,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuthorizationRequest, type ChatClient, createChatClient, memoryStorage, Session } from '../src/index.js';
import { TestServer } from './server.js';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));
const REDIRECT_URI = 'http://127.0.0.1:51234/callback';

let server: TestServer;
let alice: ChatClient;
let chatId: number;
let documents: Server;
let clientId: string;

beforeAll(async () => {
  server = await TestServer.start({}, null);
  const session = new Session(server.url, { storage: memoryStorage() });
  await session.signIn({ email: 'alice@example.com', password: 'confab-demo' });
  alice = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
  chatId = (await alice.api.chats.list()).find(({ name }) => name === 'team')?.id ?? 0;
  documents = createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ client_id: clientId, client_name: 'A client', redirect_uris: ['http://127.0.0.1/callback'] }),
    );
  }).listen(0, '127.0.0.1');
  await once(documents, 'listening');
  clientId = `http://127.0.0.1:${(documents.address() as AddressInfo).port}/client.json`;
}, 60_000);
afterAll(async () => {
  documents.close();
  await server.stop();
});

/** Does what the consent page does for a user who agrees. Returns the URL to which the browser is sent. */
async function agree(authorizationUrl: string): Promise<URL> {
  expect(authorizationUrl).toMatch(`${server.url}/oauth/authorize?`);
  const request = Object.fromEntries(new URL(authorizationUrl).searchParams) as AuthorizationRequest;
  const { consent } = await alice.api.oauth.check(request);
  expect(consent?.client_name).toBe('A client');
  const { redirect_url } = await alice.api.oauth.authorize({
    request,
    scopes: consent?.scopes ?? [],
    write_chat_ids: [chatId],
  });
  return new URL(redirect_url);
}

test('the TypeScript client gets tokens, sends and refreshes', async () => {
  let authorizationUrl = '';
  let verifier = '';
  let tokens: OAuthTokens | undefined;
  const provider: OAuthClientProvider = {
    redirectUrl: REDIRECT_URI,
    clientMetadata: { redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'none' },
    clientInformation: () => ({ client_id: clientId, issuer: server.url }),
    tokens: () => tokens,
    saveTokens: (saved) => {
      tokens = saved;
    },
    redirectToAuthorization: (url) => {
      authorizationUrl = url.href;
    },
    saveCodeVerifier: (saved) => {
      verifier = saved;
    },
    codeVerifier: () => verifier,
  };
  const connect = async () => {
    const client = new Client({ name: 'test', version: '1' });
    const transport = new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), { authProvider: provider });
    return {
      client,
      transport,
      isConnected: await client.connect(transport).then(
        () => true,
        () => false,
      ),
    };
  };
  const first = await connect();
  expect(first.isConnected).toBe(false);
  const redirect = await agree(authorizationUrl);
  await first.transport.finishAuth(redirect.searchParams);
  const { client } = await connect();
  const sent = await client.callTool({ name: 'send_message', arguments: { chat_id: chatId, text: 'by OAuth' } });
  const { message_id } = sent.structuredContent as { message_id: number };
  expect((await alice.api.messages.get(message_id)).content).toBe('by OAuth');
  await client.close();
  // An access token that is refused is refreshed without the user.
  const before = tokens;
  tokens = { ...(tokens as OAuthTokens), access_token: 'expired' };
  const again = await connect();
  expect((await again.client.listTools()).tools.map(({ name }) => name)).toContain('send_message');
  expect(tokens?.refresh_token).not.toBe(before?.refresh_token);
  await again.client.close();
});

test('the Python client gets tokens and reads', async () => {
  const script = `
import asyncio, httpx2, sys
from urllib.parse import parse_qs, urlparse
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
url, client_id, redirect_uri, issuer = sys.argv[1:5]
class Storage:
    tokens = None
    client = OAuthClientInformationFull(
        client_id=client_id, redirect_uris=[redirect_uri], token_endpoint_auth_method="none", issuer=issuer
    )
    async def get_tokens(self): return self.tokens
    async def set_tokens(self, tokens): self.tokens = tokens
    async def get_client_info(self): return self.client
    async def set_client_info(self, client): self.client = client
async def redirect(url):
    print(url, flush=True)
async def callback():
    query = parse_qs(urlparse(sys.stdin.readline().strip()).query)
    return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0], iss=query["iss"][0])
async def main():
    metadata = OAuthClientMetadata(redirect_uris=[redirect_uri], token_endpoint_auth_method="none")
    auth = OAuthClientProvider(url, metadata, Storage(), redirect, callback)
    async with httpx2.AsyncClient(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            print(len((await client.list_tools()).tools), flush=True)
asyncio.run(main())
`;
  const child = spawn(PYTHON, ['-c', script, `${server.url}/mcp`, clientId, REDIRECT_URI, server.url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const authorizationUrl = (await lines.next()).value as string;
  child.stdin.write(`${await agree(authorizationUrl)}\n`);
  expect((await lines.next()).value).toBe('10');
  child.kill();
});
