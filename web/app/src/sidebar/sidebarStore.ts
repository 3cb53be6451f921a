import { create } from 'zustand';
import { deviceStorage } from '../storage';

/** The sections of the chat list, in their order. */
export const SECTIONS = ['favorites', 'channels', 'directMessages'] as const;
export type Section = (typeof SECTIONS)[number];

/** Smallest and largest width of the sidebar, and the one before it is changed, in pixels. */
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

/** Loads the arrangement of an account. */
export function loadSidebar(accountId: number): void {
  storageKey = `confab.sidebar.${accountId}`;
  let stored: Partial<SidebarState> = {};
  try {
    stored = JSON.parse(deviceStorage.getItem(storageKey) ?? '{}') as Partial<SidebarState>;
  } catch {
    // What cannot be read is not needed.
  }
  useSidebar.setState({ ...INITIAL, ...stored });
}

function change(next: Partial<SidebarState>): void {
  useSidebar.setState(next);
  deviceStorage.setItem(storageKey, JSON.stringify(useSidebar.getState()));
}

/** Folds a section, or unfolds it. */
export function toggleSection(section: Section): void {
  const { folded } = useSidebar.getState();
  change({ folded: folded.includes(section) ? folded.filter((one) => one !== section) : [...folded, section] });
}

/** Adds a chat to the favorites, or removes it. */
export function toggleFavorite(chatId: number): void {
  const { favorites } = useSidebar.getState();
  change({
    favorites: favorites.includes(chatId) ? favorites.filter((id) => id !== chatId) : [...favorites, chatId],
  });
}

/** Moves a chat among the favorites: before another one, or to the end with null. */
export function moveFavorite(chatId: number, before: number | null): void {
  if (chatId === before) return;
  const others = useSidebar.getState().favorites.filter((id) => id !== chatId);
  const at = before === null ? -1 : others.indexOf(before);
  change({ favorites: at < 0 ? [...others, chatId] : others.toSpliced(at, 0, chatId) });
}

/** Removes a chat from the favorites. */
export function removeFavorite(chatId: number): void {
  change({ favorites: useSidebar.getState().favorites.filter((id) => id !== chatId) });
}

export function toggleUnreadOnly(): void {
  change({ isUnreadOnly: !useSidebar.getState().isUnreadOnly });
}

/** Changes the width, in pixels. */
export function setWidth(width: number): void {
  change({ width: Math.round(Math.min(Math.max(width, WIDTH.min), WIDTH.max)) });
}
