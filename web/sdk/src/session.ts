import { Emitter } from './emitter.js';
import { ApiError, ApprovalPendingError, VerificationPendingError } from './errors.js';
import { createHttpClient, type GetToken, type HttpClient } from './http.js';
import { uniqueId } from './ids.js';
import { defaultStorage, type Storage } from './storage.js';
import type { AuthResponse, Me, PendingSignupResponse, Signin, Signup, SignupConfirmation } from './wire/types.gen.js';

/** The stored tokens of a session. */
interface StoredTokens {
  readonly token: string;
  readonly refreshToken: string;
  /** Identifies one refresh, so that any tab can retry it until the response arrives. */
  readonly nonce: string;
  /** When to refresh the token, in milliseconds since 1970. */
  readonly refreshAt: number;
}

/** The events of a session. */
export interface SessionEvents {
  /** The user has signed in or out. */
  changed: { readonly isSignedIn: boolean };
}

/** How long before its expiry a token is refreshed, in milliseconds. */
const REFRESH_MARGIN_MS = 60_000;

/** The options of a session. */
export interface SessionOptions {
  /** Stores the tokens across reloads. */
  readonly storage?: Storage;
  /**
   * Separates the sessions of an origin where several users are signed in. A function
   * derives the name from the user at sign-in; until then there is no session.
   */
  readonly name?: string | ((me: Me) => string);
  readonly fetch?: typeof fetch;
}

/** A signed-in session. Stores the tokens and refreshes them once for all tabs. */
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
    // Another tab has signed in or out.
    const listenerOptions = { signal: this.#closeController.signal };
    globalThis.addEventListener?.(
      'storage',
      (event) => {
        if ((event as StorageEvent).key === this.#key) this.emit('changed', { isSignedIn: this.isSignedIn });
      },
      listenerOptions,
    );
  }

  /** Whether a session is stored under a name. */
  static isStored(name?: string, storage: Storage = defaultStorage()): boolean {
    return storage.getItem(storageKey(name)) !== null;
  }

  /** Stops listening to other tabs. The session stays signed in. */
  close(): void {
    this.#closeController.abort();
  }

  get isSignedIn(): boolean {
    return this.#load() !== null;
  }

  /**
   * Creates an account. Throws `VerificationPendingError` if the server sends a link by mail with which to go on, and
   * `ApprovalPendingError` if an operator has to approve the account.
   */
  signUp(body: Signup): Promise<Me> {
    return this.#createAccount('/api/signup', body);
  }

  /** Creates the account of a sign-up, with the token of the link in the mail. */
  confirmSignUp(body: SignupConfirmation): Promise<Me> {
    return this.#createAccount('/api/signup/confirmation', body);
  }

  async #createAccount(path: string, body: Signup | SignupConfirmation): Promise<Me> {
    const options = { body, anonymous: true };
    // A server of the previous version sends no body if an operator has to approve the account.
    const response = await this.#http.request<AuthResponse | PendingSignupResponse | undefined>('POST', path, options);
    if (response && !('waits_for' in response)) return this.#startSession(response);
    if (response?.waits_for === 'verification')
      throw new VerificationPendingError('open the link in the mail to go on');
    throw new ApprovalPendingError('an operator of this server has to approve your account first');
  }

  async signIn(body: Signin): Promise<Me> {
    return this.#startSession(await this.#http.request<AuthResponse>('POST', '/api/signin', { body, anonymous: true }));
  }

  /** Revokes the session. The server closes its connections. */
  async signOut(): Promise<void> {
    try {
      await this.#http.request('POST', '/api/signout');
    } catch {
      // The session has ended already or the server is unreachable. The tokens are removed anyway.
    } finally {
      this.#clear();
    }
  }

  /** Pass this to `createChatClient`. */
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
      // Another tab has refreshed already: a refresh token works only once.
      if (!stored || stored.token !== usedToken) return stored?.token ?? null;
      try {
        const body = { refresh_token: stored.refreshToken, nonce: stored.nonce };
        return this.#store(
          await this.#http.request<AuthResponse>('POST', '/api/token/refresh', { body, anonymous: true }),
        );
      } catch (error) {
        if (!(error instanceof ApiError) || error.isRetryable) throw error;
        // Without locks, another tab may have refreshed at the same time.
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
