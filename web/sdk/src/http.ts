import { ApiError, NetworkError } from './errors.js';

/** Why a token is asked for: to begin with, or because the server took the last one no longer. */
export type TokenReason = 'first' | 'expired';

/** Answers with an access token, or `null` when there is none to be had. */
export type GetToken = (request: { reason: TokenReason }) => Promise<string | null>;

/** How requests are made. */
export interface HttpClient {
  /** Asks; answers the body. Throws `ApiError` or `NetworkError`. */
  request<ResponseBody>(method: string, path: string, options?: RequestOptions): Promise<ResponseBody>;
  /** Asks; answers the response, for what is not JSON. Throws the same. */
  fetch(method: string, path: string, options?: RequestOptions): Promise<Response>;
}

/** What a request may carry. */
export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Left out where `undefined` or `null`. */
  readonly query?: Record<string, string | number | undefined | null>;
  readonly signal?: AbortSignal;
  /** Without a token. */
  readonly anonymous?: boolean;
}

/** A question that has no answer for so long has none, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Requests with a token, which is renewed once if the server takes it no longer. */
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
          // Ours to end, not the caller's: the same as nobody being there.
          if (signal.aborted && !options.signal?.aborted)
            throw new NetworkError('the server takes too long', { cause });
          throw cause;
        })
        .finally(stop);
      return (text === '' ? undefined : JSON.parse(text)) as ResponseBody;
    },
  };
  return http;
}

/** Aborted after so long, or with another signal. */
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
