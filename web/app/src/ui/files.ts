import { useEffect, useState } from 'react';
import type { ChatStore } from '../store/chatStore';
import { useChatStore } from '../store/hooks';

/** Maximum number of cached files. */
const MAX_CACHED_FILES = 150;

/** Files fetched with a token, by URL, most recently used last. A page can show private files only as `blob:` URLs. */
const fileUrlCache = new WeakMap<ChatStore, Map<string, Promise<string>>>();

/** Returns the `blob:` URL of a private file. */
function getFileUrl(chatStore: ChatStore, url: string): Promise<string> {
  const files = fileUrlCache.get(chatStore) ?? new Map<string, Promise<string>>();
  fileUrlCache.set(chatStore, files);
  const known = files.get(url);
  const file = known ?? chatStore.client.api.files.get(url).then((blob) => URL.createObjectURL(blob));
  files.delete(url);
  files.set(url, file);
  if (!known) file.catch(() => files.delete(url));
  const [oldest] = files;
  if (files.size > MAX_CACHED_FILES && oldest) {
    files.delete(oldest[0]);
    oldest[1].then((objectUrl) => URL.revokeObjectURL(objectUrl)).catch(() => {});
  }
  return file;
}

/** Returns the `blob:` URL of a private file; null until it is loaded. */
export function useFileUrl(url: string | null): string | null {
  const chatStore = useChatStore();
  const [loaded, setLoaded] = useState<{ readonly url: string; readonly objectUrl: string } | null>(null);
  useEffect(() => {
    if (url === null) return;
    let isCancelled = false;
    getFileUrl(chatStore, url).then(
      (objectUrl) => !isCancelled && setLoaded({ url, objectUrl }),
      () => {},
    );
    return () => {
      isCancelled = true;
    };
  }, [chatStore, url]);
  return loaded?.url === url ? loaded.objectUrl : null;
}

/** Revokes all `blob:` URLs of an account. */
export function clearFileCache(chatStore: ChatStore): void {
  for (const file of fileUrlCache.get(chatStore)?.values() ?? [])
    file.then((objectUrl) => URL.revokeObjectURL(objectUrl)).catch(() => {});
  fileUrlCache.delete(chatStore);
}

/** How long the URL of a saved file is kept for the browser, in milliseconds. */
const REVOKE_DELAY_MS = 60_000;

/** Downloads a private file under its name. */
export async function downloadFile(chatStore: ChatStore, url: string, filename: string): Promise<void> {
  saveBlob(await chatStore.client.api.files.get(url), filename);
}

/** Saves a blob as a file. */
export function saveBlob(bytes: Blob, filename: string): void {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(bytes);
  anchor.download = filename;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), REVOKE_DELAY_MS);
}

/** Formats a size, as in `1.4 MB`. */
export function formatFileSize(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  const unitIndex = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** unitIndex;
  return new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: units[unitIndex] ?? 'byte',
    unitDisplay: unitIndex === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && unitIndex > 0 ? 1 : 0,
  }).format(value);
}
