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

/** The browser's, where there is one and it may be used. */
export function defaultStorage(): Storage {
  try {
    const storage = globalThis.localStorage;
    storage.getItem('confab');
    return storage;
  } catch {
    return memoryStorage();
  }
}
