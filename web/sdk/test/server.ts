import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The folder of the programs that cargo built. */
export const BINARY_FOLDER = join(
  process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url)),
  'debug',
);

/** The real server binary. */
const BINARY_PATH = join(BINARY_FOLDER, 'confab');

/** A running server with the demo data. */
export class TestServer {
  #process: ChildProcess | null = null;
  url = '';

  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly environment: Readonly<Record<string, string>>,
    readonly publicUrl: string | null,
  ) {}

  /**
   * Starts a server, with more environment variables. Its public URL is a host name that browsers do not treat as a
   * secure context; without one it knows itself by the loopback address.
   */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    publicUrl: string | null = 'http://plain.test',
  ): Promise<TestServer> {
    const folder = await mkdtemp(join(tmpdir(), 'confab-sdk-'));
    // When the tests run as root, Postgres runs as another user.
    await chmod(folder, 0o755);
    const server = new TestServer(folder, 0, environment, publicUrl);
    await server.launch();
    return server;
  }

  /** Starts the server, or restarts it at the same address. */
  async launch(): Promise<void> {
    const bind = this.url ? new URL(this.url).host : '127.0.0.1:0';
    const publicUrl = this.publicUrl === null ? [] : ['--public-url', this.publicUrl, '--public-demo'];
    const outgoing = ['--outgoing-allow', '127.0.0.0/8'];
    const child = spawn(
      BINARY_PATH,
      ['dev', '--bind', bind, '--data', join(this.folder, 'data'), ...publicUrl, ...outgoing],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: { ...process.env, ...this.environment },
      },
    );
    this.#process = child;
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const url = /^listening on (http:\S+)/.exec(line)?.[1];
      if (url) {
        this.url = url;
        return;
      }
    }
    throw new Error(`${BINARY_PATH} failed to start`);
  }

  /** Kills the server with SIGKILL. */
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

/** Waits until a condition is true. */
export async function waitUntil(description: string, condition: () => boolean, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`timed out: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
