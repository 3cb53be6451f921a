import { deviceStorage } from '../storage';

/** The languages of the frontend, by their own names. */
export const LANGUAGES = { en: 'English', de: 'Deutsch', fa: 'فارسی' } as const;
export type Language = keyof typeof LANGUAGES;

/** Languages that are written from right to left. */
const RIGHT_TO_LEFT: readonly Language[] = ['fa'];

/** Storage key of the language that the user has chosen. */
const STORAGE_KEY = 'confab.language';

const isLanguage = (name: string | null | undefined): name is Language =>
  name != null && Object.hasOwn(LANGUAGES, name);

const getBase = (tag: string) => tag.toLowerCase().split('-')[0] ?? '';

/** The chosen language; null if the browser decides. */
export function getChosenLanguage(): Language | null {
  const chosen = deviceStorage.getItem(STORAGE_KEY);
  return isLanguage(chosen) ? chosen : null;
}

/** Chooses a language and loads the page again with it. */
export function chooseLanguage(chosen: Language | null): void {
  if (chosen) deviceStorage.setItem(STORAGE_KEY, chosen);
  else deviceStorage.removeItem(STORAGE_KEY);
  location.reload();
}

/** The language of the page: the chosen one, or the first of the browser's that there is. */
export const language: Language = getChosenLanguage() ?? navigator.languages.map(getBase).find(isLanguage) ?? 'en';

/** The language with the region that the browser prefers, for dates and numbers. */
export const locale: string = navigator.languages.find((tag) => getBase(tag) === language) ?? language;

/** The direction of the text. */
export const direction = RIGHT_TO_LEFT.includes(language) ? 'rtl' : 'ltr';
