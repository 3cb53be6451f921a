import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BINARY_FOLDER } from '../../sdk/test/server';

/** A program that stands in for another network, and the account that it knows. */
export class StandIn {
  private constructor(
    readonly url: string,
    readonly account: ReadonlyMap<string, string>,
    readonly process: ChildProcess,
  ) {}

  /** Starts a program on a free port. */
  static async start(program: string, ...options: readonly string[]): Promise<StandIn> {
    const child = spawn(join(BINARY_FOLDER, program), ['--bind', '127.0.0.1:0', ...options], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const account = new Map<string, string>();
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /^listening on (http:\S+)/.exec(line)?.[1];
      if (url) return new StandIn(url, account, child);
      const [name, value] = line.split(/\s{2,}/);
      account.set(name ?? '', value ?? '');
    }
    throw new Error(`${program} failed to start`);
  }

  async post(path: string, body: object): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(`${this.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  /** What the person received. */
  async messages<T>(): Promise<T> {
    return (await (await fetch(`${this.url}/person/messages`)).json()) as T;
  }
}
