import { create } from 'zustand';
import { isWide } from './layout';
import { deviceStorage } from './storage';

/** A side panel next to the timeline, or above it where it does not fit. */
export type Panel = 'members' | 'search' | 'pins';

/** Storage key: whether the user has closed the panel, where it covers nothing. */
const CLOSED_KEY = 'confab.panelClosed';

/** The state of a history entry that an open panel has added, so that "back" closes the panel first. */
const PANEL_ENTRY = { isPanel: true } as const;

const hasPanelEntry = () => (history.state as Partial<typeof PANEL_ENTRY> | null)?.isPanel === true;

/** The store of the open panel. */
export const usePanel = create<{ readonly panel: Panel | null }>(() => ({ panel: loadPanel() }));

function loadPanel(): Panel | null {
  if (!isWide()) return null;
  return deviceStorage.getItem(CLOSED_KEY) === 'true' ? null : 'members';
}

/** Opens a panel. */
export function openPanel(panel: Panel): void {
  if (isWide()) deviceStorage.removeItem(CLOSED_KEY);
  else if (!hasPanelEntry()) history.pushState(PANEL_ENTRY, '');
  usePanel.setState({ panel });
}

/** Closes the open panel. */
export function closePanel(): void {
  if (isWide()) deviceStorage.setItem(CLOSED_KEY, 'true');
  usePanel.setState({ panel: null });
  if (hasPanelEntry()) history.back();
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
  const replace = hasPanelEntry();
  usePanel.setState({ panel: null });
  navigate(path, { replace });
}

/** Closes a panel that would cover the page which opens. The entry of the panel stays behind the page. */
export function closeOverlay(): void {
  if (!isWide()) usePanel.setState({ panel: null });
}

addEventListener('popstate', () => {
  if (!isWide() && !hasPanelEntry()) usePanel.setState({ panel: null });
});
// After a reload no panel is open.
if (hasPanelEntry()) history.replaceState(null, '');
