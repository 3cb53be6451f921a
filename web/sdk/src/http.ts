import { ApiError, NetworkError } from './errors.js';

/** Why a token is requested: for a new request, or because the server rejected the last one. */
export type TokenReason = 'first' | 'expired';

/** Returns an access token, or `null` if the user is not signed in. */
export type GetToken = (request: { reason: TokenReason }) => Promise<string | null>;

/** Sends HTTP requests. */
export interface HttpClient {
  /** Sends a request and returns its JSON body. Throws `ApiError` or `NetworkError`. */
  request<ResponseBody>(method: string, path: string, options?: RequestOptions): Promise<ResponseBody>;
  /** Sends a request and returns the raw response. Throws `ApiError` or `NetworkError`. */
  fetch(method: string, path: string, options?: RequestOptions): Promise<Response>;
}

/** The options of a request. */
export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `undefined` and `null` values are omitted. */
  readonly query?: Record<string, string | number | undefined | null>;
  readonly signal?: AbortSignal;
  /** Sends no token. */
  readonly anonymous?: boolean;
}

/** Timeout of a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Creates an HTTP client. A rejected token is refreshed once per request. */
export function createHttpClient(baseUrl: string, getToken: GetToken, fetcher: typeof fetch = fetch): HttpClient {
  async function send(method: string, path: string, options: RequestOptions, token: string | null) {
    const headers: Record<string, string> = {};
    if (token) headers.authorization = `Bearer ${token}`;
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    const body = options.body === undefined ? null : JSON.stringify(options.body);
    try {
      return await fetcher(withQuery(baseUrl + path, options.query), {
        method,
        headers,
        body,
        signal: options.signal ?? null,
        credentials: 'include',
      });
    } catch (cause) {
      if (options.signal?.aborted) throw cause;
      throw new NetworkError('the server cannot be reached', { cause });
    }
  }

  const http: HttpClient = {
    async fetch(method, path, options = {}) {
      const token = options.anonymous ? null : await getToken({ reason: 'first' });
      let response = await send(method, path, options, token);
      if (response.status === 401 && !options.anonymous) {
        const refreshedToken = await getToken({ reason: 'expired' });
        if (refreshedToken && refreshedToken !== token) response = await send(method, path, options, refreshedToken);
      }
      if (!response.ok) throw await ApiError.from(response);
      return response;
    },
    async request<ResponseBody>(method: string, path: string, options: RequestOptions = {}): Promise<ResponseBody> {
      const { signal, stop } = withTimeout(REQUEST_TIMEOUT_MS, options.signal);
      const text = await http
        .fetch(method, path, { ...options, signal })
        .then((response) => response.text())
        .catch((cause) => {
          // The timeout aborted the request, not the caller: report a network error.
          if (signal.aborted && !options.signal?.aborted)
            throw new NetworkError('the server took too long to respond', { cause });
          throw cause;
        })
        .finally(stop);
      return (text === '' ? undefined : JSON.parse(text)) as ResponseBody;
    },
  };
  return http;
}

/** Returns a signal that aborts after a timeout, or with another signal. */
function withTimeout(ms: number, outer?: AbortSignal): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort(outer?.reason);
  const timer = setTimeout(abort, ms);
  outer?.addEventListener('abort', abort);
  if (outer?.aborted) abort();
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}

function withQuery(url: string, query: RequestOptions['query']): string {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
  if (entries.length === 0) return url;
  return `${url}?${new URLSearchParams(entries.map(([name, value]) => [name, String(value)]))}`;
}
