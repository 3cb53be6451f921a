import {
  type Bootstrap,
  type Chat,
  type ChatClient,
  createChatClient,
  type Event,
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
import { History } from './history';
import { MarkTeller } from './marks';
import { transport } from './transport';
import { having, lacking, type Marks, merge, type World } from './world';

/** How long a first screen that could not be had is waited for, in milliseconds. */
const AGAIN_MS = 2_000;

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
  #wasLive = false;
  readonly #asked = new Map<number, Promise<void>>();
  readonly #quotes = new Map<number, Promise<Message>>();
  readonly #stale = new Set<number>();
  #refreshing: Promise<void> | null = null;
  /** Chats of which something was read while what had happened was not known yet. */
  readonly #readBlind = new Set<number>();
  readonly history: History;
  readonly #marks: MarkTeller;

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
    this.#marks = new MarkTeller(client.api.chats);
    this.history = new History({
      api: client.api,
      world: () => this.world,
      update: (change) => this.#update(change),
      settle: () => this.settle(),
      know: (ids) => this.know(ids),
    });
    client.on('*', (event) => {
      this.frames.add(event);
      this.#hear(event);
    });
    client.on('state', (change) => {
      this.frames.note(`${change.from} → ${change.to}`);
      const isWhole = change.to === 'live' && this.world?.connection.to !== 'live';
      this.#update((world) => ({ ...world, connection: change }));
      if (isWhole) void this.#comeBack();
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
      // A group without a name is called after its people.
      for (const row of screen.chats.filter(isNameless)) void this.readMembers(row.id).catch(() => {});
    } catch (failure) {
      if (opening !== this.#opening) return;
      this.#store.setState({ failure });
      setTimeout(() => opening === this.#opening && void this.open(), AGAIN_MS);
    }
  }

  close(): void {
    this.#opening += 1;
    this.#wasLive = false;
    this.client.close();
  }

  /** Tries at once what is tried again anyway. */
  hurry(): void {
    if (this.#store.getState().failure === null) this.client.reconnect();
    else void this.open();
  }

  /** The line is whole: what could not be read is read, what is not in the log is asked for, what is not known is told. */
  async #comeBack(): Promise<void> {
    void this.#marks.tell();
    // What was read meanwhile has what the stream has just told again.
    this.#update((world) => ({
      ...world,
      timelines: new Map(
        [...world.timelines].filter(
          ([chatId, { messages, failure }]) =>
            !this.#readBlind.has(chatId) && (failure === null || messages.length > 0),
        ),
      ),
    }));
    this.#readBlind.clear();
    if (!this.#wasLive) {
      this.#wasLive = true;
      return;
    }
    const screen = await this.client.api.bootstrap().catch(() => null);
    if (!screen) return;
    this.#update((world) => ({
      ...world,
      presences: new Map([
        ...world.presences,
        ...screen.presences.map((presence) => [presence.user_id, presence] as const),
      ]),
    }));
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
        this.#marks.reached('delivered', event.chat_id, event.message.id);
    }
    if (event.type === 'chat.added' || event.type === 'chat.new') {
      this.know(event.chat.pair ?? []);
      if (isNameless(event.chat)) void this.readMembers(event.chat_id).catch(() => {});
      void this.refreshRow(event.chat_id);
    }
    if (event.type === 'chat.trimmed') void this.refreshRow(event.chat_id);
    if (event.type === 'message.updated') this.#quotes.delete(event.message.id);
    if (event.type === 'message.deleted') this.#quotes.delete(event.message_id);
  }

  #update(change: (world: World) => World): void {
    const { world } = this;
    if (!world) return;
    const next = change(world);
    if (next !== world) this.#store.setState({ world: next });
  }

  /** Shows a chat: what it was last, a message of it, or its present. */
  async show(chatId: number, messageId: number | null): Promise<void> {
    if (this.#wasLive && this.world?.connection.to !== 'live') this.#readBlind.add(chatId);
    if (messageId === null) await this.history.show(chatId);
    else await this.history.find(chatId, messageId);
    await this.readReceipts(chatId);
  }

  /** Fetches a chat's row: its counts, or all of it if it is new. Those that wait are fetched together. */
  refreshRow(chatId: number): Promise<void> {
    this.#stale.add(chatId);
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    while (this.#stale.size > 0) {
      const wanted = [...this.#stale];
      this.#stale.clear();
      const rows = await this.client.api.chats.list().catch(() => []);
      this.settle();
      const fresh = rows.filter(({ id }) => wanted.includes(id));
      for (const row of fresh) {
        const known = this.world?.chats.get(row.id)?.last_message?.id ?? 0;
        // Something was said while it was on its way.
        if ((row.last_message?.id ?? 0) < known) this.#stale.add(row.id);
        else this.#update((world) => ({ ...world, chats: having(world.chats, row.id, row) }));
      }
    }
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
    asked.catch(() => this.#quotes.delete(messageId));
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
  async readReceipts(chatId: number): Promise<void> {
    const { world } = this;
    const row = world?.chats.get(chatId);
    if (!world || !row || row.member_count > MOST_RECEIPTS) return;
    const mine = world.timelines.get(chatId)?.messages.findLast(({ sender_id }) => sender_id === world.me.id);
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
    this.#marks.reached('read', chatId, messageId);
  }

  /** Sends; what becomes of it is in the world's `pending`. */
  send(chatId: number, draft: Omit<NewMessage, 'nonce'>): void {
    void this.client.messages.send(chatId, draft);
  }

  /** Does what was asked, and shows its answer without waiting for the event. */
  async edit(message: Message, content: string): Promise<void> {
    const edited = await this.client.api.messages.edit(message.id, content);
    const shown = { ...edited, nonce: message.nonce };
    this.#update((world) => {
      const run = world.timelines.get(message.chat_id);
      if (!run?.messages.some(({ id }) => id === edited.id)) return world;
      const now = { ...run, messages: merge(run.messages, [shown]) };
      return { ...world, timelines: having(world.timelines, message.chat_id, now) };
    });
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
}

function isNameless({ type, name }: Pick<Chat, 'type' | 'name'>): boolean {
  return type === 'group' && name === '';
}
