import { deviceStorage } from '../storage';

/** The theme of this device; `system` follows the system's setting. */
export type Theme = 'system' | 'light' | 'dark';

const STORAGE_KEY = 'confab.theme';

/** Returns the stored theme. */
export function getTheme(): Theme {
  const stored = deviceStorage.getItem(STORAGE_KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

/** Stores a theme and applies it. */
export function setTheme(theme: Theme): void {
  deviceStorage.setItem(STORAGE_KEY, theme);
  applyTheme();
}

/** Applies the stored theme. */
export function applyTheme(): void {
  const theme = getTheme();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
