import { kept } from '../kept';

/** How it looks, as chosen on this device; `system` follows it. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'confab.theme';

/** What was chosen. */
export function theme(): Theme {
  const chosen = kept.getItem(KEY);
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

/** Chooses, and shows it. */
export function chooseTheme(chosen: Theme): void {
  kept.setItem(KEY, chosen);
  applyTheme();
}

/** Shows what was chosen. */
export function applyTheme(): void {
  const chosen = theme();
  if (chosen === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}
