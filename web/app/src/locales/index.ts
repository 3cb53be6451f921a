import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import type en from './en.json';
import { direction, type Language, language } from './language';

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

/** The catalogues. A page loads only that of its language. */
const CATALOGUES: Readonly<Record<Language, () => Promise<{ readonly default: typeof en }>>> = {
  en: () => import('./en.json'),
  de: () => import('./de.json'),
  fa: () => import('./fa.json'),
};

/** Loads the catalogue of the page's language, before anything is shown. */
export async function loadLocale(): Promise<void> {
  const { default: translation } = await CATALOGUES[language]();
  document.documentElement.lang = language;
  document.documentElement.dir = direction;
  await i18next.use(initReactI18next).init({
    lng: language,
    resources: { [language]: { translation } },
    interpolation: { escapeValue: false },
  });
}
