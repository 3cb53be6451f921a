import { defaultStorage, memoryStorage, withMemoryFallback } from '@confab/sdk';

/** `localStorage`, or memory until the page is closed if the browser blocks it. */
export const deviceStorage = defaultStorage();

/** `sessionStorage`, or memory until the page is reloaded if the browser blocks it. */
export const tabStorage = (() => {
  try {
    sessionStorage.getItem('confab');
    return withMemoryFallback(sessionStorage);
  } catch {
    return memoryStorage();
  }
})();
