import { defaultStorage, keeping, memoryStorage } from '@confab/sdk';

/** What this device remembers; where it may not, for as long as the page lives. */
export const kept = defaultStorage();

/** What this tab remembers; where it may not, until it is loaded again. */
export const keptByTab = (() => {
  try {
    sessionStorage.getItem('confab');
    return keeping(sessionStorage);
  } catch {
    return memoryStorage();
  }
})();
