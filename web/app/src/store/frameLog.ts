import type { Event } from '@confab/sdk';

/** One entry of the log. */
export interface Frame {
  readonly index: number;
  readonly at: number;
  readonly text: string;
  /** The event; null for a change of the connection. */
  readonly event: Event | null;
}

/** Maximum number of entries. */
const MAX_FRAMES = 200;

/** The latest frames, for the debug panel. */
export class FrameLog {
  #frames: readonly Frame[] = [];
  #count = 0;
  readonly #listeners = new Set<() => void>();

  add(event: Event): void {
    this.#push({ text: event.type, event });
  }

  addNote(text: string): void {
    this.#push({ text, event: null });
  }

  /** Number of frames since the page was loaded. */
  get count(): number {
    return this.#count;
  }

  /** Oldest first. */
  readonly list = (): readonly Frame[] => this.#frames;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #push(frame: Pick<Frame, 'text' | 'event'>): void {
    this.#count += 1;
    this.#frames = [...this.#frames.slice(1 - MAX_FRAMES), { ...frame, index: this.#count, at: Date.now() }];
    for (const listener of this.#listeners) listener();
  }
}
