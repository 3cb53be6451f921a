import type { ChatClient } from '@confab/sdk';

/** Marks are told at most so often for each chat, in milliseconds. */
const EVERY_MS = 400;

type Kind = 'read' | 'delivered';

/** Tells the server how far one has come, now and then, until it knows. */
export class MarkTeller {
  readonly #chats: ChatClient['api']['chats'];
  /** The furthest of each, until it is told. */
  readonly #waiting = new Map<string, { readonly kind: Kind; readonly chatId: number; messageId: number }>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(chats: ChatClient['api']['chats']) {
    this.#chats = chats;
  }

  /** One has come as far as this. */
  reached(kind: Kind, chatId: number, messageId: number): void {
    const key = `${kind} ${chatId}`;
    const known = this.#waiting.get(key);
    if (known) known.messageId = Math.max(known.messageId, messageId);
    else this.#waiting.set(key, { kind, chatId, messageId });
    this.#timer ??= setTimeout(() => void this.tell(), EVERY_MS);
  }

  /** Tells what waits; what cannot be told waits on. */
  async tell(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [key, mark] of [...this.#waiting]) {
      const { kind, chatId, messageId } = mark;
      try {
        await this.#chats[kind](chatId, messageId);
        if (mark.messageId === messageId) this.#waiting.delete(key);
        else this.reached(kind, chatId, mark.messageId);
      } catch {
        // It is told again when the line is whole, or with the next one.
      }
    }
  }
}
