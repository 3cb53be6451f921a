import { defaultStorage } from '@confab/sdk';

/** What this device remembers; where it may not, for as long as the page lives. */
export const kept = defaultStorage();
