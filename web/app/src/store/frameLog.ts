import type { Event } from '@confab/sdk';

/** One line of what came over the wire. */
export interface Frame {
  readonly index: number;
  readonly at: number;
  readonly text: string;
  /** An event, or a change of the connection. */
  readonly event: Event | null;
}

/** So many are remembered. */
const MAX_FRAMES = 200;

/** The last of what came over the wire, for whoever looks into it. */
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

  /** How many there were since the page was opened. */
  get count(): number {
    return this.#count;
  }

  /** The latest last. */
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
