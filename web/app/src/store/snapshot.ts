import type { ChatSummary, Me, Member, NotificationSettings, User } from '@confab/sdk';
import type { ChatState, Timeline } from './chatState';
import { deleteSnapshot, getSnapshotPath, SNAPSHOT_CACHE } from './snapshotCache';

/** Counts up when the form of a snapshot changes. Others are not read. */
const VERSION = 2;

/** How many timelines a snapshot contains, the last ones that were opened. */
const MAX_TIMELINES = 10;

/** How many messages of a timeline a snapshot contains, the newest. */
const MAX_MESSAGES = 50;

/** How many characters of messages a snapshot contains. */
const MAX_CHARACTERS = 500_000;

/** The largest member list that a snapshot contains: unnamed groups are called by their members. */
const MAX_MEMBERS = 50;

/** How long a snapshot is shown, in milliseconds: as long as a session without a refresh. */
const MAX_AGE_MS = 30 * 86_400_000;

/** How long after a change a snapshot is saved, in milliseconds. */
const SAVE_DELAY_MS = 5_000;

/** What an account last saw on this device. */
interface Snapshot {
  readonly version: number;
  readonly savedAt: string;
  readonly me: Me;
  readonly chats: readonly ChatSummary[];
  readonly users: readonly User[];
  readonly blockedUserIds: readonly number[];
  readonly savedMessageIds: readonly number[];
  readonly lastSeenInboxItemId: number;
  readonly notificationSettings: NotificationSettings;
  readonly members: readonly (readonly [number, readonly Member[]])[];
  readonly timelines: readonly (readonly [number, Pick<Timeline, 'messages' | 'hasOlder'>])[];
}

/** Saves what an account sees, so that a page that opens without a connection can show it. */
export class SnapshotSaver {
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isDeleted = false;
  #saving: Promise<void> = Promise.resolve();
  readonly #getState: () => ChatState | null;

  constructor(getState: () => ChatState | null) {
    this.#getState = getState;
  }

  /** Saves in a while. */
  schedule(): void {
    if (!('caches' in globalThis) || this.#isDeleted) return;
    this.#timer ??= setTimeout(() => void this.save(), SAVE_DELAY_MS);
  }

  /** Saves now, if something changed. */
  save(): Promise<void> {
    if (this.#timer !== null) {
      this.cancel();
      this.#saving = this.#saving.then(() => this.#write());
    }
    return this.#saving;
  }

  async #write(): Promise<void> {
    const state = this.#getState();
    // What is shown from a snapshot is not newer than it.
    if (!state || state.snapshotAt !== null || this.#isDeleted) return;
    try {
      const cache = await caches.open(SNAPSHOT_CACHE);
      await cache.put(getSnapshotPath(state.me.id), Response.json(takeSnapshot(state, await read(cache, state.me.id))));
    } catch {
      // The disk may be full. Nothing depends on a snapshot.
    }
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Deletes what was saved, and saves nothing more. */
  async delete(userId: number): Promise<void> {
    this.#isDeleted = true;
    this.cancel();
    await this.#saving;
    await deleteSnapshot(userId);
  }
}

/** Reads a snapshot, unless it is too old or has another form. */
async function read(cache: Cache, userId: number): Promise<Snapshot | null> {
  const response = await cache.match(getSnapshotPath(userId));
  const snapshot = (await response?.json()) as Snapshot | undefined;
  const isUsable = snapshot?.version === VERSION && Date.now() - Date.parse(snapshot.savedAt) < MAX_AGE_MS;
  return isUsable ? snapshot : null;
}

/** Deletes the snapshots of accounts that are not signed in here any more, and old ones. */
export async function deleteStale(userIds: readonly number[]): Promise<void> {
  const cache = await caches.open(SNAPSHOT_CACHE);
  for (const { url } of await cache.keys()) {
    const userId = Number(new URL(url).pathname.split('/').at(-1));
    if (!userIds.includes(userId) || !(await read(cache, userId))) await cache.delete(getSnapshotPath(userId));
  }
}

/** Loads what an account last saw on this device. */
export async function loadSnapshot(userId: number): Promise<ChatState | null> {
  try {
    const snapshot = await read(await caches.open(SNAPSHOT_CACHE), userId);
    return snapshot && toState(snapshot);
  } catch {
    return null;
  }
}

/** Chats that were not opened since the page was loaded keep what is stored of them. */
function takeSnapshot(state: ChatState, previous: Snapshot | null): Snapshot {
  let characters = 0;
  const timelines: [number, Pick<Timeline, 'messages' | 'hasOlder'>][] = [];
  const newestFirst = [...state.timelines].reverse().filter(([, { hasNewer }]) => !hasNewer);
  for (const [chatId, { messages, hasOlder }] of newestFirst.slice(0, MAX_TIMELINES)) {
    const newest = messages.slice(-MAX_MESSAGES);
    characters += newest.reduce((sum, { content }) => sum + content.length, 0);
    if (characters > MAX_CHARACTERS) break;
    timelines.push([chatId, { messages: newest, hasOlder: hasOlder || newest.length < messages.length }]);
  }
  for (const [chatId, timeline] of previous?.timelines ?? []) {
    if (timelines.length === MAX_TIMELINES) break;
    if (!state.chats.has(chatId) || timelines.some(([id]) => id === chatId)) continue;
    characters += timeline.messages.reduce((sum, { content }) => sum + content.length, 0);
    if (characters > MAX_CHARACTERS) break;
    timelines.push([chatId, timeline]);
  }
  return {
    version: VERSION,
    savedAt: new Date().toISOString(),
    me: state.me,
    chats: [...state.chats.values()],
    users: [...state.users.values()],
    blockedUserIds: [...state.blockedUserIds],
    savedMessageIds: [...state.savedMessageIds],
    lastSeenInboxItemId: state.lastSeenInboxItemId,
    notificationSettings: state.notificationSettings,
    members: [...state.members].filter(([, members]) => members.length <= MAX_MEMBERS),
    timelines,
  };
}

function toState(snapshot: Snapshot): ChatState {
  return {
    me: snapshot.me,
    chats: new Map(snapshot.chats.map((chat) => [chat.id, chat])),
    users: new Map(snapshot.users.map((user) => [user.id, user])),
    presences: new Map(),
    blockedUserIds: new Set(snapshot.blockedUserIds),
    savedMessageIds: new Set(snapshot.savedMessageIds),
    lastSeenInboxItemId: snapshot.lastSeenInboxItemId,
    notificationSettings: snapshot.notificationSettings,
    typing: new Map(),
    members: new Map(snapshot.members),
    timelines: new Map(
      snapshot.timelines.map(([chatId, stored]) => [
        chatId,
        { ...stored, hasNewer: false, loading: 'idle', failure: null },
      ]),
    ),
    receipts: new Map(),
    bridges: new Map(),
    pending: new Map(),
    removals: new Map(),
    connection: { to: 'offline', retryAt: null },
    snapshotAt: snapshot.savedAt,
  };
}
