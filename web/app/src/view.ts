import { create } from 'zustand';
import type { Question } from './ui/Sure';
import { wordsOf } from './words/failure';

/** A layer above the screen. */
export type Layer =
  | { readonly kind: 'new' }
  | { readonly kind: 'browse' }
  | { readonly kind: 'switcher' }
  | { readonly kind: 'settings' }
  | { readonly kind: 'shortcuts' }
  | { readonly kind: 'chat'; readonly chatId: number }
  | { readonly kind: 'people'; readonly chatId: number }
  | { readonly kind: 'edits'; readonly messageId: number }
  | ({ readonly kind: 'sure' } & Question);

/** What stands beside the timeline. */
export type Panel = 'members' | 'search' | 'pins' | 'debug';

/** How the screen is arranged. */
interface View {
  readonly layer: Layer | null;
  readonly panel: Panel | null;
  /** A sentence that comes and goes. */
  readonly toast: { readonly text: string; readonly nth: number } | null;
  /** Counts the ways to messages, so that the same way can be gone twice. */
  readonly jumps: number;
  jump(): void;
  open(layer: Layer): void;
  close(): void;
  toggle(panel: Panel): void;
  say(text: string): void;
  hush(nth: number): void;
}

/** Whether there is room for three panes. */
export const isWide = () => matchMedia('(min-width: 64rem)').matches;

/** How the screen is arranged. */
export const useView = create<View>((set) => ({
  layer: null,
  panel: isWide() ? 'members' : null,
  toast: null,
  jumps: 0,
  jump: () => set((view) => ({ jumps: view.jumps + 1 })),
  open: (layer) => set({ layer }),
  close: () => set({ layer: null }),
  toggle: (panel) => set((view) => ({ panel: view.panel === panel ? null : panel })),
  say: (text) => set((view) => ({ toast: { text, nth: (view.toast?.nth ?? 0) + 1 } })),
  hush: (nth) => set((view) => (view.toast?.nth === nth ? { toast: null } : {})),
}));

/** Does something, and says so if it fails. */
export async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    useView.getState().say(wordsOf(error));
  }
}
