import {
  ApiError,
  type Bootstrap,
  type Chat,
  type ChatClient,
  createChatClient,
  type Event,
  isRetryable,
  type Member,
  type Message,
  type NewMessage,
  type Session,
} from '@confab/sdk';
import { createStore, type StoreApi } from 'zustand/vanilla';
import { type Account, listAccounts } from '../auth/accounts';
import {
  type ChatState,
  DEFAULT_NOTIFICATION_SETTINGS,
  getShownUserIds,
  mergeMessages,
  withEntry,
  withoutEntry,
} from './chatState';
import { FrameLog } from './frameLog';
import { MessageHistory } from './messageHistory';
import { MAX_RECEIPT_MEMBERS, ReceiptTracker } from './receipts';
import { applyPending, applySent, reduce } from './reducer';
import type { SnapshotSaver } from './snapshot';
import { deleteSnapshot } from './snapshotCache';
import { getTransport } from './transport';
import { UserCache } from './users';

/** How long a bootstrap takes before a snapshot is shown meanwhile, in milliseconds. */
const SLOW_BOOTSTRAP_MS = 4_000;

/** Loaded when it is needed, after the first screen. */
const loadSnapshots = () => import('./snapshot');

/** Delay before a failed bootstrap is retried, in milliseconds. */
const RETRY_DELAY_MS = 2_000;

/** The state of the store. */
interface ChatStoreState {
  /** Null until the bootstrap has loaded. */
  readonly state: ChatState | null;
  /** The error of the last bootstrap. */
  readonly failure: unknown;
}

/** One account in one tab: the client, the state, and the actions on it. */
export class ChatStore {
  readonly client: ChatClient;
  readonly frames = new FrameLog();
  readonly #store: StoreApi<ChatStoreState> = createStore(() => ({ state: null, failure: null }));
  readonly #queuedEvents: Event[] = [];
  #isFlushScheduled = false;
  /** Incremented by each open, so that responses of an earlier one are ignored. */
  #generation = 0;
  #wasLive = false;
  readonly #quotedMessages = new Map<number, Promise<Message>>();
  readonly #staleChats = new Set<number>();
  /** How many times each chat was removed. */
  readonly #removals = new Map<number, number>();
  /** How many events have changed the counts of the inbox. */
  #inboxChanges = 0;
  #pendingRefresh: Promise<void> | null = null;
  /** Chats that were loaded while the connection was not live. */
  readonly #loadedWhileOffline = new Set<number>();
  readonly users: UserCache;
  readonly receipts: ReceiptTracker;
  readonly history: MessageHistory;
  #snapshots: SnapshotSaver | null = null;

  constructor(
    readonly account: Account,
    readonly session: Session,
  ) {
    const client = createChatClient({
      getToken: session.getToken,
      userId: String(account.id),
      transport: getTransport(),
    });
    this.client = client;
    const context = {
      api: client.api,
      getState: () => this.state,
      getGeneration: () => this.#generation,
      update: (change: (state: ChatState) => ChatState) => this.#updateState(change),
      flushEvents: () => this.flushEvents(),
    };
    this.users = new UserCache(context);
    this.receipts = new ReceiptTracker(context, this.users);
    this.history = new MessageHistory(context, this.users);
    client.on('*', (event) => {
      this.frames.add(event);
      this.#queueEvent(event);
    });
    client.on('state', (change) => {
      this.frames.addNote(`${change.from} → ${change.to}`);
      const isReconnected = change.to === 'live' && this.state?.connection.to !== 'live';
      this.#updateState((state) => ({ ...state, connection: change }));
      if (isReconnected) this.#handleReconnect();
    });
    client.on('reset', ({ reason }) => {
      this.frames.addNote(`reset: ${reason}`);
      this.close();
      void this.open();
    });
    client.on('error', ({ text }) => this.frames.addNote(`unreadable: ${text}`));
    client.on('pending', (pending) => this.#updateState((state) => applyPending(state, pending)));
    client.on('sent', ({ nonce, message }) => this.#updateState((state) => applySent(state, nonce, message)));
    client.on('dropped', ({ nonce }) =>
      this.#updateState((state) => ({ ...state, pending: withoutEntry(state.pending, nonce) })),
    );
  }

  get store(): StoreApi<ChatStoreState> {
    return this.#store;
  }

  get state(): ChatState | null {
    return this.#store.getState().state;
  }

  /** Loads the bootstrap and subscribes to events from its cursor. */
  async open(): Promise<void> {
    this.#generation += 1;
    const generation = this.#generation;
    const isSlow = setTimeout(() => this.state ?? this.#showSnapshot(generation), SLOW_BOOTSTRAP_MS);
    try {
      const bootstrap = await this.client.api.bootstrap();
      if (generation !== this.#generation) return;
      this.#queuedEvents.length = 0;
      this.#store.setState({ state: this.#createInitialState(bootstrap), failure: null });
      this.client.connect(bootstrap.cursor).catch(() => {
        // The connection state shows the failure.
      });
      // The title of an unnamed group consists of its members' names.
      for (const chat of bootstrap.chats.filter(isUnnamedGroup)) void this.loadMembers(chat.id).catch(() => {});
    } catch (failure) {
      if (generation !== this.#generation) return;
      this.#store.setState({ failure });
      const isRefused = failure instanceof ApiError && failure.status < 500;
      if (this.state === null && !isRefused) await this.#showSnapshot(generation);
      setTimeout(() => generation === this.#generation && void this.open(), RETRY_DELAY_MS);
    } finally {
      clearTimeout(isSlow);
    }
  }

  /** Shows what the account last saw here, if the server cannot be reached. */
  async #showSnapshot(generation: number): Promise<void> {
    const snapshot = await loadSnapshots().then(
      ({ loadSnapshot }) => loadSnapshot(this.account.id),
      () => null,
    );
    if (!snapshot || generation !== this.#generation || this.state !== null) return;
    const pending = new Map(this.client.messages.listPending().map((one) => [one.nonce, one]));
    this.#store.setState({ state: { ...snapshot, pending } });
  }

  close(): void {
    this.#generation += 1;
    this.#snapshots?.cancel();
    this.#wasLive = false;
    this.client.close();
  }

  /** Begins to save what the account sees on this device. */
  async startSnapshots(): Promise<void> {
    const { deleteStale, SnapshotSaver } = await loadSnapshots();
    if (this.#snapshots) return;
    const snapshots = new SnapshotSaver(() => this.state);
    this.#snapshots = snapshots;
    this.#store.subscribe(() => snapshots.schedule());
    snapshots.schedule();
    await deleteStale(listAccounts().map(({ id }) => id));
  }

  /** Saves what the account sees, before the page may be closed. */
  saveSnapshot(): void {
    void this.#snapshots?.save();
  }

  /** Deletes what the account saw, because it has signed out. */
  async deleteSnapshot(): Promise<void> {
    if (this.#snapshots) await this.#snapshots.delete(this.account.id);
    else await deleteSnapshot(this.account.id);
  }

  /** Retries the connection or the bootstrap immediately. */
  retryNow(): void {
    if (this.#store.getState().failure === null) this.client.reconnect();
    else void this.open();
  }

  /** Runs when the connection is live again: sends receipts, reloads failed timelines, refreshes users and presence. */
  #handleReconnect(): void {
    void this.receipts.flush();
    // Reload timelines that failed, and those loaded while offline: replayed events were applied to them twice.
    this.#updateState((state) => ({
      ...state,
      timelines: new Map(
        [...state.timelines].filter(
          ([chatId, { messages, failure }]) =>
            !this.#loadedWhileOffline.has(chatId) && (failure === null || messages.length > 0),
        ),
      ),
    }));
    this.#loadedWhileOffline.clear();
    this.users.catchUp();
    this.#wasLive = true;
  }

  #createInitialState(bootstrap: Bootstrap): ChatState {
    this.#quotedMessages.clear();
    return {
      me: bootstrap.user,
      // During an update, a server of the previous version may answer.
      chats: new Map(bootstrap.chats.map((chat) => [chat.id, { ...chat, inbox_count: chat.inbox_count ?? 0 }])),
      users: new Map([bootstrap.user, ...bootstrap.users].map((user) => [user.id, user])),
      presences: new Map(bootstrap.presences.map((presence) => [presence.user_id, presence])),
      blockedUserIds: new Set(bootstrap.blocked_user_ids),
      savedMessageIds: new Set(bootstrap.saved_message_ids ?? []),
      lastSeenInboxItemId: bootstrap.last_seen_inbox_item_id ?? 0,
      notificationSettings: { ...DEFAULT_NOTIFICATION_SETTINGS, ...bootstrap.notification_settings },
      typing: new Map(),
      members: new Map(),
      timelines: new Map(),
      receipts: new Map(),
      bridges: new Map(),
      pending: new Map(this.client.messages.listPending().map((pending) => [pending.nonce, pending])),
      removals: this.state?.removals ?? new Map(),
      connection: this.state?.connection ?? { to: 'connecting', retryAt: null },
      snapshotAt: null,
    };
  }

  /** Events that arrive in the same frame are applied, and rendered, together. */
  #queueEvent(event: Event): void {
    this.#queuedEvents.push(event);
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    let isDone = false;
    const flushOnce = () => {
      if (isDone) return;
      isDone = true;
      this.#isFlushScheduled = false;
      this.flushEvents();
    };
    requestAnimationFrame(flushOnce);
    // A hidden page gets no animation frames.
    setTimeout(flushOnce, 100);
  }

  /** Applies the queued events. */
  flushEvents(): void {
    const events = this.#queuedEvents.splice(0);
    this.#updateState((state) => events.reduce(reduce, state));
    for (const event of events) this.#runSideEffects(event);
  }

  /** Runs the side effects of an event. */
  #runSideEffects(event: Event): void {
    const { state } = this;
    if (!state) return;
    if (event.type.startsWith('inbox.')) this.#inboxChanges += 1;
    if (event.type === 'chat.removed' || event.type === 'chat.deleted') this.#quotedMessages.clear();
    if (event.type === 'chat.removed' || event.type === 'chat.deleted')
      this.#removals.set(event.chat_id, (this.#removals.get(event.chat_id) ?? 0) + 1);
    if (event.type === 'message.new') {
      this.users.ensure(getShownUserIds(event.message));
      const type = state.chats.get(event.chat_id)?.type;
      const isTracked = type === 'single' || type === 'group';
      if (isTracked && event.message.sender_id !== state.me.id)
        this.receipts.advance('delivered', event.chat_id, event.message.id);
    }
    if (event.type === 'member.joined') this.users.refreshPresence([event.user_id]);
    // A message of a ghost opens the window again; a member may be a ghost.
    const isOfGhost = event.type === 'message.new' && state.users.get(event.message.sender_id ?? 0)?.kind === 'ghost';
    const isOfMember = event.type === 'member.joined' || event.type === 'member.left';
    if ((isOfGhost || isOfMember) && state.bridges.has(event.chat_id)) void this.loadBridges(event.chat_id);
    if (event.type === 'bridge.updated')
      for (const [chatId, bridges] of state.bridges)
        if (bridges.some(({ bridge_id }) => bridge_id === event.bridge_id)) void this.loadBridges(chatId);
    if (event.type === 'chat.added' || event.type === 'chat.new') {
      this.#quotedMessages.clear();
      this.users.ensure(event.chat.pair ?? []);
      this.users.refreshPresence(event.chat.pair ?? []);
      if (isUnnamedGroup(event.chat)) void this.loadMembers(event.chat_id).catch(() => {});
      void this.refreshChat(event.chat_id);
    }
    // Any chat may contain messages of this user, which no longer count, or count again.
    if (event.type === 'user.blocked' || event.type === 'user.unblocked')
      for (const chatId of state.chats.keys()) void this.refreshChat(chatId);
    if (event.type === 'chat.trimmed') void this.refreshChat(event.chat_id);
    if (event.type === 'message.updated') {
      this.#quotedMessages.delete(event.message.id);
      this.users.ensure(event.message.mentions);
    }
    // The receipts of a small chat name their users.
    const readChat = event.type === 'message.read' ? state.chats.get(event.chat_id) : undefined;
    if (event.type === 'message.read' && (readChat?.member_count ?? 0) <= MAX_RECEIPT_MEMBERS)
      this.users.ensure([event.user_id]);
    if (event.type === 'message.deleted') this.#quotedMessages.delete(event.message_id);
  }

  #updateState(change: (state: ChatState) => ChatState): void {
    const { state } = this;
    if (!state) return;
    const next = change(state);
    if (next !== state) this.#store.setState({ state: next });
  }

  /**
   * Loads a chat's timeline: around a message, or the latest messages if none is loaded. Returns whether the chat
   * has the message.
   */
  async openChat(chatId: number, messageId: number | null): Promise<boolean> {
    if (this.#wasLive && this.state?.connection.to !== 'live') this.#loadedWhileOffline.add(chatId);
    let exists = true;
    if (messageId === null) await this.history.loadInitial(chatId);
    else exists = await this.history.loadAround(chatId, messageId);
    void Promise.all([this.receipts.load(chatId), this.loadBridges(chatId)]);
    return exists;
  }

  /** Loads the bridges of a chat, and the messages that did not arrive there. */
  async loadBridges(chatId: number): Promise<void> {
    if (this.state?.chats.get(chatId)?.type === 'single') return;
    const bridges = await this.client.api.chats.listBridges(chatId).catch(() => null);
    if (bridges) this.#updateState((state) => ({ ...state, bridges: withEntry(state.bridges, chatId, bridges) }));
  }

  /** Refreshes a chat's summary, or adds it if it is new. Concurrent refreshes share one request. */
  refreshChat(chatId: number): Promise<void> {
    this.#staleChats.add(chatId);
    this.#pendingRefresh ??= this.#refreshStaleChats().finally(() => {
      this.#pendingRefresh = null;
    });
    return this.#pendingRefresh;
  }

  async #refreshStaleChats(): Promise<void> {
    while (this.#staleChats.size > 0) {
      const wanted = [...this.#staleChats];
      this.#staleChats.clear();
      const inboxChanges = this.#inboxChanges;
      const removals = new Map(this.#removals);
      const chats = await this.client.api.chats.list().catch(() => []);
      this.flushEvents();
      // The counts may be older than the events that were applied meanwhile.
      const hasInboxChanged = inboxChanges !== this.#inboxChanges;
      // A chat that was removed during the request must not come back.
      const fresh = chats.filter(({ id }) => wanted.includes(id) && removals.get(id) === this.#removals.get(id));
      for (const chat of fresh) {
        const known = this.state?.chats.get(chat.id);
        const inbox_count = hasInboxChanged && known ? known.inbox_count : chat.inbox_count;
        // A message arrived during the request: refresh again.
        if ((chat.last_message?.id ?? 0) < (known?.last_message?.id ?? 0)) this.#staleChats.add(chat.id);
        else
          this.#updateState((state) => ({
            ...state,
            chats: withEntry(state.chats, chat.id, { ...chat, inbox_count }),
          }));
        this.users.ensure(chat.last_message ? getShownUserIds(chat.last_message) : []);
      }
    }
  }

  /** Adds a chat that was just created or joined, without waiting for its event. */
  async ensureChat(chatId: number): Promise<void> {
    if (!this.state?.chats.has(chatId)) await this.refreshChat(chatId);
  }

  /** Forgets a quoted message, because it has changed. */
  forgetQuotedMessage(messageId: number): void {
    this.#quotedMessages.delete(messageId);
  }

  /** Fetches a message that another one quotes, once; also that the user may not read it is asked once. */
  loadQuotedMessage(messageId: number): Promise<Message> {
    const known = this.#quotedMessages.get(messageId);
    if (known) return known;
    const request = this.client.api.messages.get(messageId).then((message) => {
      this.users.ensure(getShownUserIds(message));
      return message;
    });
    this.#quotedMessages.set(messageId, request);
    request.catch((error) => isRetryable(error) && this.#quotedMessages.delete(messageId));
    return request;
  }

  /** Loads the members of a chat, up to about 500. */
  async loadMembers(chatId: number): Promise<void> {
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
    this.users.add(members);
    this.#updateState((state) => ({ ...state, members: withEntry(state.members, chatId, members) }));
  }

  /** Marks a message and all after it as unread. The open chat does not count as read until it is opened again. */
  async markUnread({ chat_id, id }: Message): Promise<void> {
    this.receipts.pauseAutoRead(chat_id);
    try {
      // Otherwise a read marker that waits would undo it.
      await this.receipts.flush();
      await this.client.api.chats.markUnread(chat_id, id);
    } catch (error) {
      this.receipts.resumeAutoRead(chat_id);
      throw error;
    }
  }

  /** Sends a message. Its status is in `pending`. */
  sendMessage(chatId: number, draft: Omit<NewMessage, 'nonce'>): void {
    void this.client.messages.send(chatId, draft);
  }

  /** Edits a message and applies the response without waiting for the event. */
  async editMessage(message: Message, content: string): Promise<void> {
    const edited = await this.client.api.messages.edit(message.id, content);
    const editedMessage = { ...edited, nonce: message.nonce };
    this.#updateState((state) => {
      const timeline = state.timelines.get(message.chat_id);
      if (!timeline?.messages.some(({ id }) => id === edited.id)) return state;
      const now = { ...timeline, messages: mergeMessages(timeline.messages, [editedMessage]) };
      return { ...state, timelines: withEntry(state.timelines, message.chat_id, now) };
    });
  }

  /** Adds or removes a reaction. Applied optimistically, and reverted if the request fails. */
  async toggleReaction(message: Message, emoji: string): Promise<void> {
    const { state } = this;
    if (!state) return;
    const isAdding = !message.reactions.some((one) => one.emoji === emoji && one.me);
    const applyReaction = (isAdded: boolean) =>
      this.#updateState((now) =>
        reduce(now, {
          type: isAdded ? 'reaction.added' : 'reaction.removed',
          id: '',
          at: '',
          chat_id: message.chat_id,
          message_id: message.id,
          user_id: now.me.id,
          emoji,
        }),
      );
    applyReaction(isAdding);
    try {
      await (isAdding
        ? this.client.api.messages.react(message.id, emoji)
        : this.client.api.messages.unreact(message.id, emoji));
    } catch (error) {
      applyReaction(!isAdding);
      throw error;
    }
  }
}

function isUnnamedGroup({ type, name }: Pick<Chat, 'type' | 'name'>): boolean {
  return type === 'group' && name === '';
}
