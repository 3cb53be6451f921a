import {
  ApiError,
  type Bootstrap,
  type ChatClient,
  createChatClient,
  type Event,
  type FileInfo,
  type Member,
  type Message,
  type NewMessage,
  type Session,
  type User,
} from '@confab/sdk';
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Account } from '../session/accounts';
import { fold, sent, waiting } from './fold';
import { Frames } from './frames';
import { transport } from './transport';
import { EMPTY, having, lacking, type Marks, merge, type Timeline, type World } from './world';

/** Messages read at once. */
const PAGE = 50;

/** A run longer than this is cut to its newest page when its chat is left. */
const KEPT = 300;

/** Marks are told at most so often for each chat, in milliseconds. */
const MARK_EVERY_MS = 400;

/** In larger chats nobody is shown who has read what. */
export const MOST_RECEIPTS = 50;

/** What the screen stands on. */
export interface HouseState {
  /** Null until the first screen is there. */
  readonly world: World | null;
  /** Why it is not. */
  readonly failure: unknown;
}

/** One person's Confab in one tab: the client, the world it knows of, and what can be done in it. */
export class House {
  readonly client: ChatClient;
  readonly frames = new Frames();
  readonly #store: StoreApi<HouseState> = createStore(() => ({ world: null, failure: null }));
  readonly #heard: Event[] = [];
  #isFoldDue = false;
  /** Counts openings, so that only the latest counts. */
  #opening = 0;
  readonly #asked = new Map<number, Promise<void>>();
  readonly #quotes = new Map<number, Promise<Message>>();
  readonly #markAt = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(
    readonly account: Account,
    readonly session: Session,
  ) {
    const client = createChatClient({
      getToken: session.getToken,
      person: String(account.id),
      transport: transport(),
    });
    this.client = client;
    client.on('*', (event) => {
      this.frames.add(event);
      this.#hear(event);
    });
    client.on('state', (change) => {
      this.frames.note(`${change.from} → ${change.to}`);
      this.#update((world) => ({ ...world, connection: change }));
    });
    client.on('resync', ({ reason }) => {
      this.frames.note(`resync: ${reason}`);
      this.close();
      void this.open();
    });
    client.on('error', ({ text }) => this.frames.note(`unreadable: ${text}`));
    client.on('pending', (pending) => this.#update((world) => waiting(world, pending)));
    client.on('sent', ({ nonce, message }) => this.#update((world) => sent(world, nonce, message)));
    client.on('dropped', ({ nonce }) =>
      this.#update((world) => ({ ...world, pending: lacking(world.pending, nonce) })),
    );
  }

  get store(): StoreApi<HouseState> {
    return this.#store;
  }

  get world(): World | null {
    return this.#store.getState().world;
  }

  /** Fetches the first screen and listens from there. */
  async open(): Promise<void> {
    this.#opening += 1;
    const opening = this.#opening;
    try {
      const screen = await this.client.api.bootstrap();
      if (opening !== this.#opening) return;
      this.#heard.length = 0;
      this.#store.setState({ world: this.#begin(screen), failure: null });
      this.client.connect(screen.cursor).catch(() => {
        // The state says so.
      });
    } catch (failure) {
      if (opening === this.#opening) this.#store.setState({ failure });
    }
  }

  close(): void {
    this.#opening += 1;
    this.client.close();
  }

  #begin(screen: Bootstrap): World {
    return {
      me: screen.user,
      chats: new Map(screen.chats.map((row) => [row.id, row])),
      people: new Map([screen.user, ...screen.users].map((user) => [user.id, user])),
      presences: new Map(screen.presences.map((presence) => [presence.user_id, presence])),
      typing: new Map(),
      members: new Map(),
      timelines: new Map(),
      marks: new Map(),
      pending: new Map(this.client.messages.pending().map((pending) => [pending.nonce, pending])),
      connection: this.world?.connection ?? { to: 'connecting', retryAt: null },
    };
  }

  /** Events that come together are folded, and shown, together. */
  #hear(event: Event): void {
    this.#heard.push(event);
    if (this.#isFoldDue) return;
    this.#isFoldDue = true;
    let isDone = false;
    const run = () => {
      if (isDone) return;
      isDone = true;
      this.#isFoldDue = false;
      this.settle();
    };
    requestAnimationFrame(run);
    // A hidden page has no frames.
    setTimeout(run, 100);
  }

  /** Folds what was heard. */
  settle(): void {
    const events = this.#heard.splice(0);
    this.#update((world) => events.reduce(fold, world));
    for (const event of events) this.#answer(event);
  }

  /** What an event asks of this device. */
  #answer(event: Event): void {
    const { world } = this;
    if (!world) return;
    if (event.type === 'message.new') {
      if (event.message.sender_id !== null) this.know([event.message.sender_id]);
      const type = world.chats.get(event.chat_id)?.type;
      const isTracked = type === 'single' || type === 'group';
      if (isTracked && event.message.sender_id !== world.me.id)
        this.#mark('delivered', event.chat_id, event.message.id);
    }
    if (event.type === 'chat.added' || event.type === 'chat.new') {
      this.know(event.chat.pair ?? []);
      void this.refreshRow(event.chat_id);
    }
    if (event.type === 'chat.trimmed') void this.refreshRow(event.chat_id);
  }

  #update(change: (world: World) => World): void {
    const { world } = this;
    if (!world) return;
    const next = change(world);
    if (next !== world) this.#store.setState({ world: next });
  }

  #run(chatId: number): Timeline {
    return this.world?.timelines.get(chatId) ?? EMPTY;
  }

  #setRun(chatId: number, change: Partial<Timeline>): void {
    this.#update((world) => ({
      ...world,
      timelines: having(world.timelines, chatId, { ...(world.timelines.get(chatId) ?? EMPTY), ...change }),
    }));
  }

  /** Reads one page into a run. Of two at once for one chat the second is nothing. */
  async #read(
    chatId: number,
    reading: Exclude<Timeline['reading'], 'nothing'>,
    query: { before?: number; after?: number; around?: number },
    fit: (page: readonly Message[], isLast: boolean) => Partial<Timeline>,
  ): Promise<void> {
    if (this.#run(chatId).reading !== 'nothing') return;
    this.#setRun(chatId, { reading, failure: null });
    try {
      const page = await this.client.api.messages.list(chatId, { ...query, limit: PAGE });
      const messages = page.items.toSorted((one, other) => one.id - other.id);
      this.know(messages.flatMap(({ sender_id }) => sender_id ?? []));
      this.settle();
      this.#setRun(chatId, { ...fit(messages, page.items.length < PAGE), reading: 'nothing' });
    } catch (error) {
      this.#setRun(chatId, { reading: 'nothing', failure: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Reads a chat for the first time, or what it is now. */
  async show(chatId: number): Promise<void> {
    const run = this.world?.timelines.get(chatId);
    if (run && run.messages.length > 0) return;
    await this.present(chatId);
  }

  /** Goes to the newest page. */
  async present(chatId: number): Promise<void> {
    await this.#read(chatId, 'first', {}, (page, isLast) => {
      // What came while the page was on its way is newer than it.
      const newest = page.at(-1)?.id ?? 0;
      const run = this.#run(chatId);
      const since = run.hasNewer ? [] : run.messages.filter(({ id }) => id > newest);
      return { messages: merge(page, since), hasOlder: !isLast, hasNewer: false };
    });
    void this.#readReceipts(chatId);
  }

  async older(chatId: number): Promise<void> {
    const { messages, hasOlder } = this.#run(chatId);
    const first = messages[0];
    if (!hasOlder || !first) return;
    await this.#read(chatId, 'older', { before: first.id }, (page, isLast) => ({
      messages: [...page, ...this.#run(chatId).messages],
      hasOlder: !isLast,
    }));
  }

  async newer(chatId: number): Promise<void> {
    const { messages, hasNewer } = this.#run(chatId);
    const last = messages.at(-1);
    if (!hasNewer || !last) return;
    await this.#read(chatId, 'newer', { after: last.id }, (page, isLast) => ({
      messages: merge(this.#run(chatId).messages, page),
      hasNewer: !isLast,
    }));
  }

  /** Makes sure that a message is in its chat's run; answers whether it is. */
  async find(chatId: number, messageId: number): Promise<boolean> {
    const has = () => this.#run(chatId).messages.some(({ id }) => id === messageId);
    if (has()) return true;
    await this.#read(chatId, 'first', { around: messageId }, (page) => {
      const newest = this.world?.chats.get(chatId)?.last_message?.id ?? 0;
      return { messages: page, hasOlder: true, hasNewer: (page.at(-1)?.id ?? 0) < newest };
    });
    return has();
  }

  /** A chat is no longer looked at: what nobody will scroll to goes. */
  left(chatId: number): void {
    const run = this.world?.timelines.get(chatId);
    if (!run || run.hasNewer || run.messages.length <= KEPT) return;
    this.#setRun(chatId, { messages: run.messages.slice(-PAGE), hasOlder: true });
  }

  /** Fetches a chat's row: its counts, or all of it if it is new. */
  async refreshRow(chatId: number): Promise<void> {
    const rows = await this.client.api.chats.list().catch(() => []);
    const row = rows.find(({ id }) => id === chatId);
    if (row) this.#update((world) => ({ ...world, chats: having(world.chats, chatId, row) }));
  }

  /** Puts a chat that was just made or joined on the screen before its event comes. */
  async admit(chatId: number): Promise<void> {
    if (!this.world?.chats.has(chatId)) await this.refreshRow(chatId);
  }

  /** Fetches people who are not known yet. */
  know(ids: readonly number[]): void {
    for (const id of new Set(ids)) {
      if (this.world?.people.has(id) || this.#asked.has(id)) continue;
      const asked = this.client.api.people
        .get(id)
        .then((user) => this.meet([user]))
        .catch(() => {})
        .finally(() => this.#asked.delete(id));
      this.#asked.set(id, asked);
    }
  }

  /** A message that another one answers, fetched once. */
  quote(messageId: number): Promise<Message> {
    const known = this.#quotes.get(messageId);
    if (known) return known;
    const asked = this.client.api.messages.get(messageId).then((message) => {
      this.know(message.sender_id === null ? [] : [message.sender_id]);
      return message;
    });
    this.#quotes.set(messageId, asked);
    return asked;
  }

  /** Remembers people. */
  meet(users: readonly User[]): void {
    if (users.length === 0) return;
    this.#update((world) => ({
      ...world,
      people: new Map([...world.people, ...users.map((user) => [user.id, user] as const)]),
    }));
  }

  /** Reads who is in a chat, as far as a panel shows them. */
  async readMembers(chatId: number): Promise<void> {
    const members: Member[] = [];
    let after: number | undefined;
    do {
      const page = await this.client.api.members.list(
        chatId,
        after === undefined ? { limit: 100 } : { after, limit: 100 },
      );
      members.push(...page.items);
      after = page.next ? page.items.at(-1)?.id : undefined;
    } while (after !== undefined && members.length < 500);
    this.meet(members);
    this.#update((world) => ({ ...world, members: having(world.members, chatId, members) }));
  }

  /** Reads how far the others are with my latest message. */
  async #readReceipts(chatId: number): Promise<void> {
    const { world } = this;
    const row = world?.chats.get(chatId);
    if (!world || !row || row.member_count > MOST_RECEIPTS) return;
    const mine = this.#run(chatId).messages.findLast(({ sender_id }) => sender_id === world.me.id);
    if (!mine) return;
    const page = await this.client.api.messages.receipts(mine.id).catch(() => null);
    if (!page) return;
    this.#update((now) => {
      const marks = new Map<number, Marks>(now.marks.get(chatId));
      for (const { user_id, delivered_at, read_at } of page.items) {
        const known = marks.get(user_id) ?? { delivered: 0, read: 0 };
        const read = Math.max(known.read, read_at ? mine.id : 0);
        marks.set(user_id, { delivered: Math.max(known.delivered, delivered_at ? mine.id : 0, read), read });
      }
      return { ...now, marks: having(now.marks, chatId, marks) };
    });
  }

  /** Says that everything up to a message was read. */
  read(chatId: number, messageId: number): void {
    const row = this.world?.chats.get(chatId);
    if (!row || (messageId <= (row.last_read_message_id ?? 0) && row.unread_count === 0)) return;
    this.#update((world) => ({
      ...world,
      chats: having(world.chats, chatId, {
        ...row,
        unread_count: 0,
        mention_count: 0,
        last_read_message_id: Math.max(messageId, row.last_read_message_id ?? 0),
      }),
    }));
    this.#mark('read', chatId, messageId);
  }

  #mark(kind: 'read' | 'delivered', chatId: number, messageId: number): void {
    const key = `${kind} ${chatId}`;
    clearTimeout(this.#markAt.get(key));
    const tell = () => this.client.api.chats[kind](chatId, messageId).catch(() => {});
    this.#markAt.set(key, setTimeout(tell, MARK_EVERY_MS));
  }

  /** Sends; what becomes of it is in the world's `pending`. */
  send(chatId: number, draft: Omit<NewMessage, 'nonce'>): void {
    void this.client.messages.send(chatId, draft);
  }

  /** Does what was asked, and shows its answer without waiting for the event. */
  async edit(message: Message, content: string): Promise<void> {
    const edited = await this.client.api.messages.edit(message.id, content);
    const run = this.#run(message.chat_id);
    if (run.messages.some(({ id }) => id === edited.id)) {
      const shown = { ...edited, nonce: message.nonce };
      this.#setRun(message.chat_id, { messages: merge(run.messages, [shown]) });
    }
  }

  /** Adds a reaction, or takes it away. Shown at once; put back if the server refuses. */
  async react(message: Message, emoji: string): Promise<void> {
    const { world } = this;
    if (!world) return;
    const adds = !message.reactions.some((one) => one.emoji === emoji && one.me);
    const turn = (isAdded: boolean) =>
      this.#update((now) =>
        fold(now, {
          type: isAdded ? 'reaction.added' : 'reaction.removed',
          id: '',
          at: '',
          chat_id: message.chat_id,
          message_id: message.id,
          user_id: now.me.id,
          emoji,
        }),
      );
    turn(adds);
    try {
      await (adds
        ? this.client.api.messages.react(message.id, emoji)
        : this.client.api.messages.unreact(message.id, emoji));
    } catch (error) {
      turn(!adds);
      throw error;
    }
  }

  /** Whether an error is the end of the session rather than of a request. */
  static isOver(error: unknown): boolean {
    return error instanceof ApiError && error.status === 401;
  }
}

/** Which files a message may show as pictures. */
export function isPicture(file: FileInfo): boolean {
  return file.width !== null && file.height !== null && file.mime_type.startsWith('image/');
}
