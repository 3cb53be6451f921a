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
} from '@confab/sdk';
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Account } from '../session/accounts';
import { fold, sent, waiting } from './fold';
import { Frames } from './frames';
import { History } from './history';
import { People } from './people';
import { Receipts } from './receipts';
import { transport } from './transport';
import { having, lacking, merge, type World } from './world';

/** How long a first screen that could not be had is waited for, in milliseconds. */
const AGAIN_MS = 2_000;

/** What the screen stands on. */
interface HouseState {
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
  readonly #quotes = new Map<number, Promise<Message>>();
  readonly #stale = new Set<number>();
  #refreshing: Promise<void> | null = null;
  /** Chats of which something was read while what had happened was not known yet. */
  readonly #readBlind = new Set<number>();
  readonly people: People;
  readonly receipts: Receipts;
  readonly history: History;

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
    const ground = {
      api: client.api,
      world: () => this.world,
      beginning: () => this.#opening,
      update: (change: (world: World) => World) => this.#update(change),
      settle: () => this.settle(),
    };
    this.people = new People(ground);
    this.receipts = new Receipts(ground);
    this.history = new History(ground, this.people);
    client.on('*', (event) => {
      this.frames.add(event);
      this.#hear(event);
    });
    client.on('state', (change) => {
      this.frames.note(`${change.from} → ${change.to}`);
      const isWhole = change.to === 'live' && this.world?.connection.to !== 'live';
      this.#update((world) => ({ ...world, connection: change }));
      if (isWhole) this.#comeBack();
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
  #comeBack(): void {
    void this.receipts.tell();
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
    this.people.catchUp();
    this.#wasLive = true;
  }

  #begin(screen: Bootstrap): World {
    this.#quotes.clear();
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
      if (event.message.sender_id !== null) this.people.know([event.message.sender_id]);
      const type = world.chats.get(event.chat_id)?.type;
      const isTracked = type === 'single' || type === 'group';
      if (isTracked && event.message.sender_id !== world.me.id)
        this.receipts.reached('delivered', event.chat_id, event.message.id);
    }
    if (event.type === 'member.joined') this.people.look([event.user_id]);
    if (event.type === 'chat.added' || event.type === 'chat.new') {
      this.people.know(event.chat.pair ?? []);
      this.people.look(event.chat.pair ?? []);
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
    await this.receipts.show(chatId);
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
        this.people.know(row.last_message?.sender_id ? [row.last_message.sender_id] : []);
      }
    }
  }

  /** Puts a chat that was just made or joined on the screen before its event comes. */
  async admit(chatId: number): Promise<void> {
    if (!this.world?.chats.has(chatId)) await this.refreshRow(chatId);
  }

  /** A message that another one answers, fetched once. */
  quote(messageId: number): Promise<Message> {
    const known = this.#quotes.get(messageId);
    if (known) return known;
    const asked = this.client.api.messages.get(messageId).then((message) => {
      this.people.know(message.sender_id === null ? [] : [message.sender_id]);
      return message;
    });
    this.#quotes.set(messageId, asked);
    asked.catch(() => this.#quotes.delete(messageId));
    return asked;
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
    this.people.meet(members);
    this.#update((world) => ({ ...world, members: having(world.members, chatId, members) }));
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
