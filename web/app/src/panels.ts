import { create } from 'zustand';
import { isWide } from './layout';
import { deviceStorage } from './storage';

/** A side panel next to the timeline, or above it where it does not fit. */
export type Panel = 'members' | 'search' | 'pins' | 'debug';

/** Storage key of the panel that is open where it covers nothing. */
const STORAGE_KEY = 'confab.panel';

/** The state of a history entry that an open panel has added, so that "back" closes the panel first. */
const ENTRY = { isPanel: true } as const;

const hasEntry = () => (history.state as Partial<typeof ENTRY> | null)?.isPanel === true;

/** The store of the open panel. */
export const usePanel = create<{ readonly panel: Panel | null }>(() => ({ panel: loadPanel() }));

function loadPanel(): Panel | null {
  if (!isWide()) return null;
  return deviceStorage.getItem(STORAGE_KEY) === 'none' ? null : 'members';
}

/** Opens a panel. */
export function openPanel(panel: Panel): void {
  if (isWide()) deviceStorage.setItem(STORAGE_KEY, panel);
  else if (!hasEntry()) history.pushState(ENTRY, '');
  usePanel.setState({ panel });
}

/** Closes the open panel. */
export function closePanel(): void {
  if (isWide()) deviceStorage.setItem(STORAGE_KEY, 'none');
  usePanel.setState({ panel: null });
  if (hasEntry()) history.back();
}

/** Opens a panel, or closes it if it is open. */
export function togglePanel(panel: Panel): void {
  if (usePanel.getState().panel === panel) closePanel();
  else openPanel(panel);
}

/** Opens a page from a panel. A panel that would cover the page closes, and its history entry becomes the page's. */
export function navigateFromPanel(
  navigate: (path: string, options?: { replace?: boolean }) => void,
  path: string,
): void {
  if (isWide()) {
    navigate(path);
    return;
  }
  const replace = hasEntry();
  usePanel.setState({ panel: null });
  navigate(path, { replace });
}

addEventListener('popstate', () => {
  if (!isWide() && !hasEntry()) usePanel.setState({ panel: null });
});
