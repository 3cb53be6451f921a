/** The part of `localStorage` that the SDK uses. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** A storage in memory. */
export function memoryStorage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** Keeps values in memory when the storage is full. */
export function withMemoryFallback(storage: Storage): Storage {
  const fallback = memoryStorage();
  return {
    getItem: (key) => fallback.getItem(key) ?? storage.getItem(key),
    setItem: (key, value) => {
      try {
        storage.setItem(key, value);
        fallback.removeItem(key);
      } catch {
        fallback.setItem(key, value);
      }
    },
    removeItem: (key) => {
      fallback.removeItem(key);
      storage.removeItem(key);
    },
  };
}

let cachedStorage: Storage | null = null;

/** Returns `localStorage` if it is available, otherwise a storage in memory. Always the same instance. */
export function defaultStorage(): Storage {
  cachedStorage ??= detectStorage();
  return cachedStorage;
}

function detectStorage(): Storage {
  try {
    const storage = globalThis.localStorage;
    storage.getItem('confab');
    return withMemoryFallback(storage);
  } catch {
    return memoryStorage();
  }
}
