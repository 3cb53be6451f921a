import { ApiError, NetworkError } from './errors.js';
import type { GetToken } from './http.js';
import type { FileInfo } from './wire/types.gen.js';

/** The progress of an upload, in bytes. */
export interface UploadProgress {
  readonly sent: number;
  readonly total: number;
}

/** The options of an upload. */
export interface UploadOptions {
  /** Called as bytes are sent, if the platform supports it. */
  readonly onProgress?: (progress: UploadProgress) => void;
  /** Aborted to cancel the upload. */
  readonly signal?: AbortSignal;
}

/** Where to upload to, and how. */
interface UploadServer {
  readonly baseUrl: string;
  readonly getToken: GetToken;
  /** An upload function that replaces the platform's, if given. */
  readonly fetch?: typeof fetch | undefined;
}

/** Uploads one file. Returns its metadata. */
export async function uploadFile(
  server: UploadServer,
  file: Blob & { readonly name?: string },
  options: UploadOptions = {},
): Promise<FileInfo> {
  const form = new FormData();
  form.append('file', file, file.name ?? 'file');
  const { baseUrl, getToken } = server;
  const usesXhr = server.fetch === undefined && typeof XMLHttpRequest !== 'undefined';
  const send = usesXhr ? sendWithXhr : createFetchSender(server.fetch ?? fetch);
  const token = await getToken({ reason: 'first' });
  let response = await send(`${baseUrl}/api/upload`, token, form, options);
  if (response.status === 401) {
    const refreshedToken = await getToken({ reason: 'expired' });
    if (refreshedToken && refreshedToken !== token)
      response = await send(`${baseUrl}/api/upload`, refreshedToken, form, options);
  }
  if (!response.ok) throw await ApiError.from(response);
  const [info] = (await response.json()) as FileInfo[];
  if (!info) throw new ApiError(response.status, 'unknown', 'the server stored no file');
  options.onProgress?.({ sent: file.size, total: file.size });
  return info;
}

type UploadSender = (url: string, token: string | null, form: FormData, options: UploadOptions) => Promise<Response>;

const createFetchSender =
  (fetcher: typeof fetch): UploadSender =>
  async (url, token, body, { signal }) => {
    try {
      const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
      return await fetcher(url, { method: 'POST', headers, body, signal: signal ?? null, credentials: 'include' });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new NetworkError('the upload was interrupted', { cause });
    }
  };

/** Uses `XMLHttpRequest`, because `fetch` reports no upload progress. */
const sendWithXhr: UploadSender = (url, token, form, { onProgress, signal }) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.withCredentials = true;
    if (token) request.setRequestHeader('authorization', `Bearer ${token}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.({ sent: loaded, total });
    request.onload = () => {
      const retryAfter = request.getResponseHeader('retry-after');
      const headers = new Headers(retryAfter ? { 'retry-after': retryAfter } : undefined);
      resolve(new Response(request.responseText, { status: request.status, headers }));
    };
    request.onerror = () => reject(new NetworkError('the upload was interrupted'));
    request.onabort = () => reject(signal?.reason ?? new DOMException('upload cancelled', 'AbortError'));
    if (signal?.aborted) return request.onabort?.(new ProgressEvent('abort'));
    const abort = () => request.abort();
    signal?.addEventListener('abort', abort, { once: true });
    request.onloadend = () => signal?.removeEventListener('abort', abort);
    request.send(form);
  });
