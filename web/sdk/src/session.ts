import { Emitter } from './emitter.js';
import { ApiError } from './errors.js';
import { createHttp, type GetToken, type Http } from './http.js';
import { uniqueId } from './ids.js';
import { defaultStorage, type Storage } from './storage.js';
import type { Me, Signin, Signup, Welcome } from './wire/types.gen.js';

/** What is kept of a session. */
interface Kept {
  readonly token: string;
  readonly refreshToken: string;
  /** Names the use of the refresh token, so that it can be tried until the answer is heard, by any tab. */
  readonly nonce: string;
  /** When the token is to be renewed, in milliseconds since 1970. */
  readonly renewAt: number;
}

/** What a session tells. */
export interface SessionEvents {
  /** Somebody has signed in, or nobody is any more. */
  changed: { readonly isSignedIn: boolean };
}

/** A token is renewed so long before it ends, in milliseconds. */
const MARGIN_MS = 60_000;

/** What a session may be given. */
export interface SessionOptions {
  /** Where the tokens outlive the page. */
  readonly storage?: Storage;
  /**
   * Tells sessions of one origin from each other, where several people are signed
   * in. A function names one by who signs in, until when nobody is.
   */
  readonly name?: string | ((me: Me) => string);
  readonly fetch?: typeof fetch;
}

/** Somebody signed in: keeps their tokens and renews them, once for all tabs. */
export class Session extends Emitter<SessionEvents> {
  readonly #http: Http;
  readonly #storage: Storage;
  readonly #name: ((me: Me) => string) | null;
  readonly #end = new AbortController();
  #key: string | null;
  #renewing: Promise<string | null> | null = null;

  constructor(baseUrl: string, options: SessionOptions = {}) {
    super();
    const { storage = defaultStorage(), name, fetch: fetcher } = options;
    this.#storage = storage;
    this.#name = typeof name === 'function' ? name : null;
    this.#key = typeof name === 'function' ? null : keyOf(name);
    this.#http = createHttp(baseUrl, (asked) => this.getToken(asked), fetcher);
    // Another tab has signed out, or in.
    const listening = { signal: this.#end.signal };
    globalThis.addEventListener?.(
      'storage',
      (event) => {
        if ((event as StorageEvent).key === this.#key) this.emit('changed', { isSignedIn: this.isSignedIn });
      },
      listening,
    );
  }

  /** Whether somebody is signed in under a name, without beginning anything. */
  static isKept(name?: string, storage: Storage = defaultStorage()): boolean {
    return storage.getItem(keyOf(name)) !== null;
  }

  /** Looks no longer at what other tabs do. The session goes on. */
  close(): void {
    this.#end.abort();
  }

  get isSignedIn(): boolean {
    return this.#kept() !== null;
  }

  async signUp(body: Signup): Promise<Me> {
    return this.#enter(await this.#http.request<Welcome>('POST', '/api/signup', { body, anonymous: true }));
  }

  async signIn(body: Signin): Promise<Me> {
    return this.#enter(await this.#http.request<Welcome>('POST', '/api/signin', { body, anonymous: true }));
  }

  /** Ends the session here and at the server, which ends its streams. */
  async signOut(): Promise<void> {
    try {
      await this.#http.request('POST', '/api/signout');
    } catch {
      // It has ended already, or nobody is there to be told: the tokens go all the same.
    } finally {
      this.#forget();
    }
  }

  /** For `createChatClient`. */
  readonly getToken: GetToken = async ({ reason }) => {
    const kept = this.#kept();
    if (!kept) return null;
    if (reason === 'first' && Date.now() < kept.renewAt) return kept.token;
    this.#renewing ??= this.#renew(kept.token).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  };

  async #renew(used: string): Promise<string | null> {
    const renew = async () => {
      const kept = this.#kept();
      // Another tab was first: a refresh token is good once.
      if (!kept || kept.token !== used) return kept?.token ?? null;
      try {
        const body = { refresh_token: kept.refreshToken, nonce: kept.nonce };
        return this.#keep(await this.#http.request<Welcome>('POST', '/api/token/refresh', { body, anonymous: true }));
      } catch (error) {
        if (!(error instanceof ApiError) || error.isPassing) throw error;
        // Another tab was first after all, where there are no locks.
        const now = this.#kept();
        if (now && now.token !== used) return now.token;
        this.#forget();
        return null;
      }
    };
    const locks = globalThis.navigator?.locks;
    return locks ? locks.request(`${this.#key ?? ''}.renew`, renew) : renew();
  }

  #enter(welcome: Welcome): Me {
    if (this.#name) this.#key = keyOf(this.#name(welcome.user));
    this.#keep(welcome);
    this.emit('changed', { isSignedIn: true });
    return welcome.user;
  }

  #keep(welcome: Pick<Welcome, 'token' | 'refresh_token' | 'expires_in'>): string {
    const renewAt = Date.now() + welcome.expires_in * 1000 - MARGIN_MS;
    const { token, refresh_token: refreshToken } = welcome;
    const kept: Kept = { token, refreshToken, nonce: uniqueId(), renewAt };
    this.#storage.setItem(this.#key ?? keyOf(), JSON.stringify(kept));
    return welcome.token;
  }

  #forget(): void {
    if (this.#key === null || !this.isSignedIn) return;
    this.#storage.removeItem(this.#key);
    this.emit('changed', { isSignedIn: false });
  }

  #kept(): Kept | null {
    if (this.#key === null) return null;
    try {
      return JSON.parse(this.#storage.getItem(this.#key) ?? 'null') as Kept | null;
    } catch {
      return null;
    }
  }
}

function keyOf(name?: string): string {
  return name === undefined ? 'confab.session' : `confab.session.${name}`;
}
