/** The official MCP clients use the real server, in each revision of the protocol that they know. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChatClient, createChatClient, memoryStorage, Session } from '../src/index.js';
import { TestServer } from './server.js';

/** `scripts/setup test` installs the Python libraries here. */
const PYTHON = fileURLToPath(new URL('../../../target/python/bin/python', import.meta.url));
const run = promisify(execFile);

let server: TestServer;
let alice: ChatClient;
let chatId: number;
let token: string;

beforeAll(async () => {
  server = await TestServer.start();
  const session = new Session(server.url, { storage: memoryStorage() });
  await session.signIn({ email: 'alice@example.com', password: 'confab-demo' });
  alice = createChatClient({ baseUrl: server.url, getToken: session.getToken, storage: memoryStorage() });
  chatId = (await alice.api.chats.list()).find(({ name }) => name === 'team')?.id ?? 0;
  const scopes = ['chats:read', 'messages:read', 'users:read', 'search:read', 'messages:write'] as const;
  ({ token } = await alice.api.tokens.create({ name: 'MCP', scopes: [...scopes], write_chat_ids: [chatId] }));
}, 60_000);
afterAll(() => server.stop());

test('the TypeScript client lists the tools, catches up and sends', async () => {
  const client = new Client({ name: 'test', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  await client.connect(transport);
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toContain('send_message');
  const unread = await client.callTool({ name: 'catch_up', arguments: {} });
  expect(unread.structuredContent).toHaveProperty('chats');
  const sent = await client.callTool({ name: 'send_message', arguments: { chat_id: chatId, text: 'from TypeScript' } });
  const { message_id } = sent.structuredContent as { message_id: number };
  expect((await alice.api.messages.get(message_id)).content).toBe('from TypeScript');
  const refused = await client.callTool({ name: 'send_message', arguments: { chat_id: 1, text: 'elsewhere' } });
  expect(refused.isError).toBe(true);
  await client.close();
});

test.each(['auto', 'legacy', '2026-07-28'])('the Python client reads and sends, mode %s', async (mode) => {
  const script = `
import asyncio, httpx2, sys
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
url, token, chat, mode = sys.argv[1:5]
async def main():
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            assert "read_messages" in [tool.name for tool in (await client.list_tools()).tools]
            sent = await client.call_tool("send_message", {"chat_id": int(chat), "text": f"from Python, {mode}"})
            assert not sent.is_error, sent
            page = await client.call_tool("read_messages", {"chat_id": int(chat), "limit": 1})
            print(page.structured_content["messages"][0]["text"])
            assert len((await client.list_prompts()).prompts) == 2
asyncio.run(main())
`;
  const { stdout } = await run(PYTHON, ['-c', script, `${server.url}/mcp`, token, String(chatId), mode]);
  expect(stdout.trim()).toBe(`from Python, ${mode}`);
});

test('the Python client asks its user before a change that the token does not allow in advance', async () => {
  const { token } = await alice.api.tokens.create({ name: 'asks', scopes: ['chats:read', 'messages:write'] });
  const script = `
import asyncio, httpx2, sys
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult
url, token, chat = sys.argv[1:4]
questions = []
async def answer(context, params):
    questions.append(params.message)
    return ElicitResult(action="accept" if len(questions) == 1 else "decline", content={})
async def main():
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode="2026-07-28", elicitation_callback=answer) as client:
            sent = await client.call_tool("send_message", {"chat_id": int(chat), "text": "confirmed"})
            declined = await client.call_tool("send_message", {"chat_id": int(chat), "text": "never"})
            print(sent.is_error, declined.is_error, len(questions), questions[0].splitlines()[-1])
asyncio.run(main())
`;
  const { stdout } = await run(PYTHON, ['-c', script, `${server.url}/mcp`, token, String(chatId)]);
  expect(stdout.trim()).toBe('False True 2 confirmed');
  const { items } = await alice.api.messages.list(chatId, { limit: 1 });
  expect(items[0]?.content).toBe('confirmed');
});

test('the Python client reads a chat and receives notifications of its changes', async () => {
  const script = `
import asyncio, httpx2, json, sys
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
url, token, chat = sys.argv[1:4]
uri = f"confab://chats/{chat}"
async def read(client):
    return json.loads((await client.read_resource(uri)).contents[0].text)["messages"][0]["text"]
async def main():
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode="2026-07-28") as client:
            assert uri in [str(resource.uri) for resource in (await client.list_resources()).resources]
            async with client.listen(resource_subscriptions=[uri]) as updates:
                await client.call_tool("send_message", {"chat_id": int(chat), "text": "told"})
                async for update in updates:
                    if await read(client) == "told":
                        break
            print(update.uri == uri)
asyncio.run(main())
`;
  const { stdout } = await run(PYTHON, ['-c', script, `${server.url}/mcp`, token, String(chatId)]);
  expect(stdout.trim()).toBe('True');
});
