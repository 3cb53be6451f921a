import { deviceStorage } from '../storage';

/** How this device shows Confab. */
interface Preferences {
  /** The space between messages. */
  readonly density: 'cozy' | 'compact';
  /** Size of the text, in percent. */
  readonly fontSize: 87.5 | 100 | 112.5 | 125;
}

const STORAGE_KEY = 'confab.preferences';

const DEFAULTS: Preferences = { density: 'cozy', fontSize: 100 };

/** The sizes of the text that can be chosen, in percent. */
export const FONT_SIZES: readonly Preferences['fontSize'][] = [87.5, 100, 112.5, 125];

/** Returns the stored preferences. */
export function getPreferences(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(deviceStorage.getItem(STORAGE_KEY) ?? '{}') as Partial<Preferences>) };
  } catch {
    return DEFAULTS;
  }
}

/** Stores a change and applies it. */
export function changePreferences(change: Partial<Preferences>): void {
  deviceStorage.setItem(STORAGE_KEY, JSON.stringify({ ...getPreferences(), ...change }));
  applyPreferences();
}

/** Applies the stored preferences to the page. */
export function applyPreferences(): void {
  const { density, fontSize } = getPreferences();
  const root = document.documentElement;
  root.dataset.density = density;
  root.style.fontSize = FONT_SIZES.includes(fontSize) && fontSize !== 100 ? `${fontSize}%` : '';
}
