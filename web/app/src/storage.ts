import { defaultStorage, memoryStorage, withMemoryFallback } from '@confab/sdk';

/** What this device remembers; where it may not, for as long as the page lives. */
export const deviceStorage = defaultStorage();

/** What this tab remembers; where it may not, until it is loaded again. */
export const tabStorage = (() => {
  try {
    sessionStorage.getItem('confab');
    return withMemoryFallback(sessionStorage);
  } catch {
    return memoryStorage();
  }
})();
