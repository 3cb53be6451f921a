import { create } from 'zustand';
import { deviceStorage } from '../storage';

/** The sections of the chat list, in their order. */
export const SECTIONS = ['favorites', 'channels', 'directMessages'] as const;
export type Section = (typeof SECTIONS)[number];

/** Minimum, maximum and default width of the sidebar, in pixels. */
export const WIDTH = { min: 200, max: 440, initial: 280 } as const;

/** How an account arranges its sidebar on this device. */
interface SidebarState {
  /** Ids of the chats in the first section, in their order. */
  readonly favorites: readonly number[];
  readonly folded: readonly Section[];
  /** Whether chats without unread messages are hidden. */
  readonly isUnreadOnly: boolean;
  readonly width: number;
}

const INITIAL: SidebarState = { favorites: [], folded: [], isUnreadOnly: false, width: WIDTH.initial };

/** The store of the arrangement. */
export const useSidebar = create<SidebarState>(() => INITIAL);

let storageKey = '';

/** Reads the stored arrangement. Each part that is damaged is replaced by its default. */
function readStored(): SidebarState {
  let stored: Partial<Record<keyof SidebarState, unknown>> = {};
  try {
    stored = (JSON.parse(deviceStorage.getItem(storageKey) ?? '{}') as typeof stored | null) ?? {};
  } catch {
    // The defaults are used.
  }
  const { favorites, folded, isUnreadOnly, width } = stored;
  return {
    favorites: Array.isArray(favorites) ? favorites.filter((id) => Number.isSafeInteger(id)) : INITIAL.favorites,
    folded: Array.isArray(folded) ? SECTIONS.filter((section) => folded.includes(section)) : INITIAL.folded,
    isUnreadOnly: isUnreadOnly === true,
    width: typeof width === 'number' && width >= WIDTH.min && width <= WIDTH.max ? width : INITIAL.width,
  };
}

/** Loads the arrangement of an account. */
export function loadSidebar(accountId: number): void {
  storageKey = `confab.sidebar.${accountId}`;
  useSidebar.setState(readStored());
}

// Another tab has changed it.
addEventListener('storage', ({ key }) => key === storageKey && useSidebar.setState(readStored()));

function updateSidebar(next: Partial<SidebarState>): void {
  useSidebar.setState(next);
  deviceStorage.setItem(storageKey, JSON.stringify(useSidebar.getState()));
}

/** Folds a section, or unfolds it. */
export function toggleSection(section: Section): void {
  const { folded } = useSidebar.getState();
  updateSidebar({ folded: folded.includes(section) ? folded.filter((one) => one !== section) : [...folded, section] });
}

/** Adds a chat to the favorites, or removes it. */
export function toggleFavorite(chatId: number): void {
  const { favorites } = useSidebar.getState();
  updateSidebar({
    favorites: favorites.includes(chatId) ? favorites.filter((id) => id !== chatId) : [...favorites, chatId],
  });
}

/** Moves a chat among the favorites: before another one, or to the end with null. */
export function moveFavorite(chatId: number, before: number | null): void {
  if (chatId === before) return;
  const others = useSidebar.getState().favorites.filter((id) => id !== chatId);
  const at = before === null ? -1 : others.indexOf(before);
  updateSidebar({ favorites: at < 0 ? [...others, chatId] : others.toSpliced(at, 0, chatId) });
}

/** Removes a chat from the favorites. */
export function removeFavorite(chatId: number): void {
  updateSidebar({ favorites: useSidebar.getState().favorites.filter((id) => id !== chatId) });
}

export function toggleUnreadOnly(): void {
  updateSidebar({ isUnreadOnly: !useSidebar.getState().isUnreadOnly });
}

/** Changes the width, in pixels. */
export function setWidth(width: number): void {
  updateSidebar({ width: Math.round(Math.min(Math.max(width, WIDTH.min), WIDTH.max)) });
}
