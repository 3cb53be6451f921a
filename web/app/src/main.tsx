import './ui/tokens.css';
import './layout';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { loadLocale } from './locales';
import { applyPreferences } from './settings/preferences';
import { applyTheme } from './settings/theme';

applyTheme();
applyPreferences();
const root = document.getElementById('root');
if (!root) throw new Error('#root is missing');
await loadLocale();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
