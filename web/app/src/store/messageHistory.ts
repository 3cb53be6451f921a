import { ApiError, type HistoryQuery, type Message } from '@confab/sdk';
import { getErrorMessage } from '../locales/errorMessage';
import { EMPTY_TIMELINE, getShownUserIds, mergeMessages, type Timeline, withEntry } from './chatState';
import type { StoreContext } from './storeContext';
import type { UserCache } from './users';

/** Messages per page. */
const PAGE_SIZE = 50;

/** Maximum length of a timeline whose chat is closed. Older messages are dropped. */
const TRIMMED_LENGTH = 300;

/** Length at which a timeline is trimmed while its chat is open and scrolled to the end. */
const MAX_LENGTH = 1_000;

/** Loads history page by page into gapless timelines. */
export class MessageHistory {
  readonly #context: StoreContext;
  readonly #users: UserCache;
  readonly #loads = new Map<number, Promise<void>>();
  /** Ids of messages that the server did not find. */
  readonly #missing = new Set<number>();

  constructor(context: StoreContext, users: UserCache) {
    this.#context = context;
    this.#users = users;
  }

  /** Loads the latest page of a chat, unless messages are loaded already. */
  async loadInitial(chatId: number): Promise<void> {
    await this.#loads.get(chatId);
    const { messages, hasOlder } = this.#getTimeline(chatId);
    if (messages.length === 0 && hasOlder) await this.loadLatest(chatId);
  }

  /** Replaces the timeline with the latest page. */
  loadLatest(chatId: number): Promise<void> {
    return this.#reload(chatId, {}, (page, isLast) => {
      // Keep the messages that arrived during the request.
      const newest = page.at(-1)?.id ?? 0;
      const timeline = this.#getTimeline(chatId);
      const since = timeline.hasNewer ? [] : timeline.messages.filter(({ id }) => id > newest);
      const messages = mergeMessages(page, since);
      return { messages, hasOlder: !isLast, hasNewer: this.#hasNewerMessages(chatId, messages) };
    });
  }

  /** Loads the page around a message. Returns whether the chat has the message, as far as is known. */
  async loadAround(chatId: number, messageId: number): Promise<boolean> {
    const isLoaded = () => this.#getTimeline(chatId).messages.some(({ id }) => id === messageId);
    if (isLoaded()) return true;
    // The pending load may be for this page.
    await this.#loads.get(chatId);
    if (isLoaded()) return true;
    this.#missing.delete(messageId);
    await this.#reload(chatId, { around: messageId }, (page) => ({
      messages: page,
      hasOlder: true,
      hasNewer: this.#hasNewerMessages(chatId, page),
    }));
    return isLoaded() || !this.#missing.has(messageId);
  }

  /** Returns the id of the first message after a given one; null if there is none. */
  async findFirstAfter(chatId: number, messageId: number): Promise<number | null> {
    // Ids start at 1, and the server rejects smaller ones.
    const page = await this.#context.api.messages.list(chatId, { after: Math.max(messageId, 1), limit: 1 });
    return page.items[0]?.id ?? null;
  }

  /** Returns the id of the first message at or after a time, or of the last one; null if there is none. */
  async findAt(chatId: number, at: string): Promise<number | null> {
    const page = await this.#context.api.messages.list(chatId, { at, limit: 1 });
    return page.items[0]?.id ?? null;
  }

  async loadOlder(chatId: number): Promise<void> {
    const { messages, hasOlder } = this.#getTimeline(chatId);
    const first = messages[0];
    if (!hasOlder || !first || this.#loads.has(chatId)) return;
    await this.#startLoad(chatId, 'older', { before: first.id }, (page, isLast) => {
      const now = this.#getTimeline(chatId).messages;
      // The timeline was replaced during the request: ignore the page.
      if (now[0]?.id !== first.id) return {};
      return { messages: [...page, ...now], hasOlder: !isLast };
    });
  }

  async loadNewer(chatId: number): Promise<void> {
    const { messages, hasNewer } = this.#getTimeline(chatId);
    const last = messages.at(-1);
    if (!hasNewer || !last || this.#loads.has(chatId)) return;
    await this.#startLoad(chatId, 'newer', { after: last.id }, (page) => {
      if (this.#getTimeline(chatId).messages.at(-1)?.id !== last.id) return {};
      const now = mergeMessages(this.#getTimeline(chatId).messages, page);
      return { messages: now, hasNewer: this.#hasNewerMessages(chatId, now) };
    });
  }

  /** Drops the older messages of a timeline. */
  trim(chatId: number, isClosed: boolean): void {
    const timeline = this.#getTimeline(chatId);
    if (
      this.#loads.has(chatId) ||
      timeline.hasNewer ||
      timeline.messages.length <= (isClosed ? TRIMMED_LENGTH : MAX_LENGTH)
    )
      return;
    this.#updateTimeline(chatId, { messages: timeline.messages.slice(-TRIMMED_LENGTH), hasOlder: true });
  }

  /** Whether messages are missing after the given messages. If so, live messages must not be appended. */
  #hasNewerMessages(chatId: number, messages: readonly Message[]): boolean {
    const newest = this.#context.getState()?.chats.get(chatId)?.last_message?.id ?? 0;
    return (messages.at(-1)?.id ?? 0) < newest;
  }

  #getTimeline(chatId: number): Timeline {
    return this.#context.getState()?.timelines.get(chatId) ?? EMPTY_TIMELINE;
  }

  #updateTimeline(chatId: number, change: Partial<Timeline>): void {
    this.#context.update((state) => ({
      ...state,
      timelines: withEntry(state.timelines, chatId, { ...(state.timelines.get(chatId) ?? EMPTY_TIMELINE), ...change }),
    }));
  }

  /** Replaces the timeline after pending loads have finished. */
  async #reload(chatId: number, query: HistoryQuery, mergePage: MergePage): Promise<void> {
    while (this.#loads.has(chatId)) await this.#loads.get(chatId);
    await this.#startLoad(chatId, 'initial', query, mergePage);
  }

  #startLoad(
    chatId: number,
    loading: Exclude<Timeline['loading'], 'idle'>,
    query: HistoryQuery,
    mergePage: MergePage,
  ): Promise<void> {
    const load = this.#fetchPage(chatId, loading, query, mergePage);
    this.#loads.set(chatId, load);
    return load;
  }

  async #fetchPage(
    chatId: number,
    loading: Timeline['loading'],
    query: HistoryQuery,
    mergePage: MergePage,
  ): Promise<void> {
    const { api, flushEvents, getGeneration } = this.#context;
    const generation = getGeneration();
    const isEmpty = this.#getTimeline(chatId).messages.length === 0;
    this.#updateTimeline(chatId, { loading, failure: null });
    try {
      const page = await api.messages.list(chatId, { ...query, limit: PAGE_SIZE });
      const messages = page.items.toSorted((one, other) => one.id - other.id);
      this.#users.ensure(messages.flatMap(getShownUserIds));
      flushEvents();
      // Remove the load before the state changes: rendering the page may start the next load.
      this.#loads.delete(chatId);
      // The state was reset during the request: the page may be outdated.
      if (getGeneration() !== generation) return;
      this.#updateTimeline(chatId, { ...mergePage(messages, page.items.length < PAGE_SIZE), loading: 'idle' });
    } catch (error) {
      this.#loads.delete(chatId);
      if (getGeneration() !== generation) return;
      // There is no such message: what was loaded before is still right.
      if (query.around !== undefined && error instanceof ApiError && error.status === 404) {
        this.#missing.add(query.around);
        this.#updateTimeline(chatId, { loading: 'idle' });
        return;
      }
      // Drop the messages that arrived meanwhile: the history before them is missing.
      const cleared = isEmpty ? { messages: [] } : {};
      this.#updateTimeline(chatId, {
        ...cleared,
        loading: 'idle',
        failure: getErrorMessage(error),
      });
    }
  }
}

/** Merges a page into a timeline; `isLast` if there are no more pages in this direction. */
type MergePage = (page: readonly Message[], isLast: boolean) => Partial<Timeline>;
