import { Emitter } from './emitter.js';
import { ApiError } from './errors.js';
import { createHttpClient, type GetToken, type HttpClient } from './http.js';
import { uniqueId } from './ids.js';
import { defaultStorage, type Storage } from './storage.js';
import type { AuthResponse, Me, Signin, Signup } from './wire/types.gen.js';

/** What is kept of a session. */
interface StoredTokens {
  readonly token: string;
  readonly refreshToken: string;
  /** Names the use of the refresh token, so that it can be tried until the answer is heard, by any tab. */
  readonly nonce: string;
  /** When the token is to be renewed, in milliseconds since 1970. */
  readonly refreshAt: number;
}

/** What a session tells. */
export interface SessionEvents {
  /** Somebody has signed in, or nobody is any more. */
  changed: { readonly isSignedIn: boolean };
}

/** A token is renewed so long before it ends, in milliseconds. */
const REFRESH_MARGIN_MS = 60_000;

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
  readonly #http: HttpClient;
  readonly #storage: Storage;
  readonly #name: ((me: Me) => string) | null;
  readonly #closeController = new AbortController();
  #key: string | null;
  #pendingRefresh: Promise<string | null> | null = null;

  constructor(baseUrl: string, options: SessionOptions = {}) {
    super();
    const { storage = defaultStorage(), name, fetch: fetcher } = options;
    this.#storage = storage;
    this.#name = typeof name === 'function' ? name : null;
    this.#key = typeof name === 'function' ? null : storageKey(name);
    this.#http = createHttpClient(baseUrl, (request) => this.getToken(request), fetcher);
    // Another tab has signed out, or in.
    const listenerOptions = { signal: this.#closeController.signal };
    globalThis.addEventListener?.(
      'storage',
      (event) => {
        if ((event as StorageEvent).key === this.#key) this.emit('changed', { isSignedIn: this.isSignedIn });
      },
      listenerOptions,
    );
  }

  /** Whether somebody is signed in under a name, without beginning anything. */
  static isStored(name?: string, storage: Storage = defaultStorage()): boolean {
    return storage.getItem(storageKey(name)) !== null;
  }

  /** Looks no longer at what other tabs do. The session goes on. */
  close(): void {
    this.#closeController.abort();
  }

  get isSignedIn(): boolean {
    return this.#load() !== null;
  }

  async signUp(body: Signup): Promise<Me> {
    return this.#startSession(await this.#http.request<AuthResponse>('POST', '/api/signup', { body, anonymous: true }));
  }

  async signIn(body: Signin): Promise<Me> {
    return this.#startSession(await this.#http.request<AuthResponse>('POST', '/api/signin', { body, anonymous: true }));
  }

  /** Ends the session here and at the server, which ends its streams. */
  async signOut(): Promise<void> {
    try {
      await this.#http.request('POST', '/api/signout');
    } catch {
      // It has ended already, or nobody is there to be told: the tokens go all the same.
    } finally {
      this.#clear();
    }
  }

  /** For `createChatClient`. */
  readonly getToken: GetToken = async ({ reason }) => {
    const stored = this.#load();
    if (!stored) return null;
    if (reason === 'first' && Date.now() < stored.refreshAt) return stored.token;
    this.#pendingRefresh ??= this.#refresh(stored.token).finally(() => {
      this.#pendingRefresh = null;
    });
    return this.#pendingRefresh;
  };

  async #refresh(usedToken: string): Promise<string | null> {
    const refresh = async () => {
      const stored = this.#load();
      // Another tab was first: a refresh token is good once.
      if (!stored || stored.token !== usedToken) return stored?.token ?? null;
      try {
        const body = { refresh_token: stored.refreshToken, nonce: stored.nonce };
        return this.#store(
          await this.#http.request<AuthResponse>('POST', '/api/token/refresh', { body, anonymous: true }),
        );
      } catch (error) {
        if (!(error instanceof ApiError) || error.isRetryable) throw error;
        // Another tab was first after all, where there are no locks.
        const latest = this.#load();
        if (latest && latest.token !== usedToken) return latest.token;
        this.#clear();
        return null;
      }
    };
    const locks = globalThis.navigator?.locks;
    return locks ? locks.request(`${this.#key ?? ''}.refresh`, refresh) : refresh();
  }

  #startSession(response: AuthResponse): Me {
    if (this.#name) this.#key = storageKey(this.#name(response.user));
    this.#store(response);
    this.emit('changed', { isSignedIn: true });
    return response.user;
  }

  #store(response: Pick<AuthResponse, 'token' | 'refresh_token' | 'expires_in'>): string {
    const refreshAt = Date.now() + response.expires_in * 1000 - REFRESH_MARGIN_MS;
    const { token, refresh_token: refreshToken } = response;
    const stored: StoredTokens = { token, refreshToken, nonce: uniqueId(), refreshAt };
    this.#storage.setItem(this.#key ?? storageKey(), JSON.stringify(stored));
    return response.token;
  }

  #clear(): void {
    if (this.#key === null || !this.isSignedIn) return;
    this.#storage.removeItem(this.#key);
    this.emit('changed', { isSignedIn: false });
  }

  #load(): StoredTokens | null {
    if (this.#key === null) return null;
    try {
      return JSON.parse(this.#storage.getItem(this.#key) ?? 'null') as StoredTokens | null;
    } catch {
      return null;
    }
  }
}

function storageKey(name?: string): string {
  return name === undefined ? 'confab.session' : `confab.session.${name}`;
}
