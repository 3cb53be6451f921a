import { ApiError, NetworkError } from './errors.js';
import type { GetToken } from './http.js';
import type { FileInfo } from './wire/types.gen.js';

/** How far an upload is. */
export interface UploadProgress {
  readonly sent: number;
  readonly total: number;
}

/** What an upload may be given. */
export interface UploadOptions {
  /** Told as bytes go out, where the platform says so. */
  readonly onProgress?: (progress: UploadProgress) => void;
  /** Aborted to give it up. */
  readonly signal?: AbortSignal;
}

/** Uploads one file; answers how a message shows it. */
export async function uploadFile(
  baseUrl: string,
  getToken: GetToken,
  file: Blob & { readonly name?: string },
  options: UploadOptions = {},
): Promise<FileInfo> {
  const form = new FormData();
  form.append('file', file, file.name ?? 'file');
  const send = typeof XMLHttpRequest === 'undefined' ? sendWithFetch : sendWithXhr;
  let token = await getToken({ reason: 'first' });
  let response = await send(`${baseUrl}/api/upload`, token, form, options);
  if (response.status === 401) {
    token = await getToken({ reason: 'expired' });
    response = await send(`${baseUrl}/api/upload`, token, form, options);
  }
  if (!response.ok) throw await ApiError.from(response);
  const [info] = (await response.json()) as FileInfo[];
  if (!info) throw new ApiError(response.status, 'unknown', 'the server kept no file');
  options.onProgress?.({ sent: file.size, total: file.size });
  return info;
}

type UploadSender = (url: string, token: string | null, form: FormData, options: UploadOptions) => Promise<Response>;

const sendWithFetch: UploadSender = async (url, token, body, { signal }) => {
  try {
    const headers = { authorization: `Bearer ${token}` };
    return await fetch(url, { method: 'POST', headers, body, signal: signal ?? null });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new NetworkError('the upload was interrupted', { cause });
  }
};

/** The one way in which a browser says how far it is. */
const sendWithXhr: UploadSender = (url, token, form, { onProgress, signal }) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.setRequestHeader('authorization', `Bearer ${token}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.({ sent: loaded, total });
    request.onload = () => {
      const retryAfter = request.getResponseHeader('retry-after');
      const headers = new Headers(retryAfter ? { 'retry-after': retryAfter } : undefined);
      resolve(new Response(request.responseText, { status: request.status, headers }));
    };
    request.onerror = () => reject(new NetworkError('the upload was interrupted'));
    request.onabort = () => reject(signal?.reason ?? new DOMException('given up', 'AbortError'));
    if (signal?.aborted) return request.onabort?.(new ProgressEvent('abort'));
    signal?.addEventListener('abort', () => request.abort());
    request.send(form);
  });
