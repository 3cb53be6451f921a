import { deviceStorage } from '../storage';

/** How it looks, as chosen on this device; `system` follows it. */
export type Theme = 'system' | 'light' | 'dark';

const STORAGE_KEY = 'confab.theme';

/** What was chosen. */
export function getTheme(): Theme {
  const stored = deviceStorage.getItem(STORAGE_KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

/** Chooses, and shows it. */
export function setTheme(theme: Theme): void {
  deviceStorage.setItem(STORAGE_KEY, theme);
  applyTheme();
}

/** Shows what was chosen. */
export function applyTheme(): void {
  const theme = getTheme();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
