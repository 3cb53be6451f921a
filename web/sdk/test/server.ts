import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The program that the tests talk to: the real one. */
const BINARY_PATH = join(
  process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url)),
  'debug/confab',
);

/** A running Confab with the demo world in it. */
export class TestServer {
  #process: ChildProcess | null = null;
  url = '';

  private constructor(
    readonly folder: string,
    readonly port: number,
  ) {}

  static async start(): Promise<TestServer> {
    const folder = await mkdtemp(join(tmpdir(), 'confab-sdk-'));
    // Postgres runs as somebody else where this runs as root.
    await chmod(folder, 0o755);
    const server = new TestServer(folder, 0);
    await server.launch();
    return server;
  }

  /** Starts it, or starts it again at the same address. */
  async launch(): Promise<void> {
    const bind = this.url ? new URL(this.url).host : '127.0.0.1:0';
    const child = spawn(BINARY_PATH, ['dev', '--bind', bind, '--data', join(this.folder, 'data')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#process = child;
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const url = /^listening on (http:\S+)/.exec(line)?.[1];
      if (url) {
        this.url = url;
        return;
      }
    }
    throw new Error(`${BINARY_PATH} does not start`);
  }

  /** Ends it without a word. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Waits until something is so. */
export async function waitUntil(description: string, condition: () => boolean, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never came true: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
