import './ui/tokens.css';
import './words';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { applyTheme } from './settings/theme';

applyTheme();
const root = document.getElementById('root');
if (!root) throw new Error('the page has a root');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
