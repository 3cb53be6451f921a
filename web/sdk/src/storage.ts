/** Where things outlive the page: the part of `localStorage` that is used. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Outlives nothing. */
export function memoryStorage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** One that is full keeps what it has, and what is new for as long as the page lives. */
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

/** The browser's, where there is one and it may be used; the same for all who ask. */
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
