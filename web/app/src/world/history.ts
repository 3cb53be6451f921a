import type { Message } from '@confab/sdk';
import { wordsOf } from '../words/failure';
import type { Ground } from './ground';
import type { People } from './people';
import { EMPTY, having, merge, type Timeline } from './world';

/** Messages read at once. */
const PAGE = 50;

/** A run longer than this is cut to its newest part when nobody looks at the rest. */
const KEPT = 300;

/** Where a run may grow while it is looked at. */
const MOST = 1_000;

/** Reads what was said, page by page, into runs without gaps. */
export class History {
  readonly #ground: Ground;
  readonly #people: People;
  readonly #reads = new Map<number, Promise<void>>();

  constructor(ground: Ground, people: People) {
    this.#ground = ground;
    this.#people = people;
  }

  /** Reads a chat for the first time. */
  async show(chatId: number): Promise<void> {
    await this.#reads.get(chatId);
    const { messages, hasOlder, failure } = this.#run(chatId);
    if (messages.length === 0 && hasOlder && failure === null) await this.present(chatId);
  }

  /** Goes to the newest page. */
  present(chatId: number): Promise<void> {
    return this.#first(chatId, {}, (page, isLast) => {
      // What came while the page was on its way is newer than it.
      const newest = page.at(-1)?.id ?? 0;
      const run = this.#run(chatId);
      const since = run.hasNewer ? [] : run.messages.filter(({ id }) => id > newest);
      const messages = merge(page, since);
      return { messages, hasOlder: !isLast, hasNewer: this.#isBehind(chatId, messages) };
    });
  }

  /** Makes sure that a message is in its chat's run; answers whether it is. */
  async find(chatId: number, messageId: number): Promise<boolean> {
    const has = () => this.#run(chatId).messages.some(({ id }) => id === messageId);
    if (has()) return true;
    await this.#first(chatId, { around: messageId }, (page) => ({
      messages: page,
      hasOlder: true,
      hasNewer: this.#isBehind(chatId, page),
    }));
    return has();
  }

  /** The first message after one; null if there is none. */
  async firstAfter(chatId: number, messageId: number): Promise<number | null> {
    // Ids begin at 1, and the server takes none below it.
    const page = await this.#ground.api.messages.list(chatId, { after: Math.max(messageId, 1), limit: 1 });
    return page.items[0]?.id ?? null;
  }

  async older(chatId: number): Promise<void> {
    const { messages, hasOlder } = this.#run(chatId);
    const first = messages[0];
    if (!hasOlder || !first || this.#reads.has(chatId)) return;
    await this.#read(chatId, 'older', { before: first.id }, (page, isLast) => {
      const now = this.#run(chatId).messages;
      // Begun anew meanwhile: this belongs to what was there before.
      if (now[0]?.id !== first.id) return {};
      return { messages: [...page, ...now], hasOlder: !isLast };
    });
  }

  async newer(chatId: number): Promise<void> {
    const { messages, hasNewer } = this.#run(chatId);
    const last = messages.at(-1);
    if (!hasNewer || !last || this.#reads.has(chatId)) return;
    await this.#read(chatId, 'newer', { after: last.id }, (page) => {
      if (this.#run(chatId).messages.at(-1)?.id !== last.id) return {};
      const now = merge(this.#run(chatId).messages, page);
      return { messages: now, hasNewer: this.#isBehind(chatId, now) };
    });
  }

  /** Nobody looks at the older part of a run. */
  trim(chatId: number, isLeft: boolean): void {
    const run = this.#run(chatId);
    if (this.#reads.has(chatId) || run.hasNewer || run.messages.length <= (isLeft ? KEPT : MOST)) return;
    this.#set(chatId, { messages: run.messages.slice(-KEPT), hasOlder: true });
  }

  /** Whether something was said after a run's end: then it must not be joined to the present. */
  #isBehind(chatId: number, messages: readonly Message[]): boolean {
    const newest = this.#ground.world()?.chats.get(chatId)?.last_message?.id ?? 0;
    return (messages.at(-1)?.id ?? 0) < newest;
  }

  #run(chatId: number): Timeline {
    return this.#ground.world()?.timelines.get(chatId) ?? EMPTY;
  }

  #set(chatId: number, change: Partial<Timeline>): void {
    this.#ground.update((world) => ({
      ...world,
      timelines: having(world.timelines, chatId, { ...(world.timelines.get(chatId) ?? EMPTY), ...change }),
    }));
  }

  /** Goes elsewhere, once what is being read has come. */
  async #first(chatId: number, query: { around?: number }, fit: Fit): Promise<void> {
    while (this.#reads.has(chatId)) await this.#reads.get(chatId);
    await this.#read(chatId, 'first', query, fit);
  }

  #read(chatId: number, reading: Exclude<Timeline['reading'], 'nothing'>, query: object, fit: Fit): Promise<void> {
    const read = this.#page(chatId, reading, query, fit);
    this.#reads.set(chatId, read);
    return read;
  }

  async #page(chatId: number, reading: Timeline['reading'], query: object, fit: Fit): Promise<void> {
    const { api, settle, beginning } = this.#ground;
    const begun = beginning();
    const isEmpty = this.#run(chatId).messages.length === 0;
    this.#set(chatId, { reading, failure: null });
    try {
      const page = await api.messages.list(chatId, { ...query, limit: PAGE });
      const messages = page.items.toSorted((one, other) => one.id - other.id);
      this.#people.know(messages.flatMap(({ sender_id }) => sender_id ?? []));
      settle();
      // Over before it is seen to be: the next may begin as this one is shown.
      this.#reads.delete(chatId);
      // Of the world before this one: what was changed between them, it does not know.
      if (beginning() !== begun) return;
      this.#set(chatId, { ...fit(messages, page.items.length < PAGE), reading: 'nothing' });
    } catch (error) {
      this.#reads.delete(chatId);
      if (beginning() !== begun) return;
      // What came meanwhile hangs in the air without what was before it.
      const nothing = isEmpty ? { messages: [] } : {};
      this.#set(chatId, {
        ...nothing,
        reading: 'nothing',
        failure: wordsOf(error),
      });
    }
  }
}

/** How a page is put into a run; `isLast` if it ends where history does. */
type Fit = (page: readonly Message[], isLast: boolean) => Partial<Timeline>;
