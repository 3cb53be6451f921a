import type {
  ChatBridge,
  ChatSummary,
  Me,
  Member,
  Message,
  NotificationSettings,
  PendingMessage,
  Presence,
  StateChange,
  User,
} from '@confab/sdk';

/** A gapless range of a chat's history, oldest first. */
export interface Timeline {
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** Which page is being loaded. */
  readonly loading: 'idle' | 'initial' | 'older' | 'newer';
  /** The error of the last load. */
  readonly failure: string | null;
}

/** The last message ids that a user has received and read in a chat, inclusive. */
export interface ReceiptPosition {
  readonly delivered: number;
  readonly read: number;
}

/** The server's data that the UI shows. Immutable. */
export interface ChatState {
  readonly me: Me;
  readonly chats: ReadonlyMap<number, ChatSummary>;
  readonly users: ReadonlyMap<number, User>;
  readonly presences: ReadonlyMap<number, Presence>;
  /** Users whom the user has blocked: their messages are folded and do not count. */
  readonly blockedUserIds: ReadonlySet<number>;
  /** The messages that the user has saved for later. */
  readonly savedMessageIds: ReadonlySet<number>;
  /** The last item of the inbox that the user has seen; 0 if there is none. */
  readonly lastSeenInboxItemId: number;
  /** What notifies the user. */
  readonly notificationSettings: NotificationSettings;
  /** When a typing indicator ends, by chat and user, in milliseconds since 1970. */
  readonly typing: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Loaded member lists, by chat. */
  readonly members: ReadonlyMap<number, readonly Member[]>;
  /** Timelines of the chats that were opened. */
  readonly timelines: ReadonlyMap<number, Timeline>;
  /** By chat and user. */
  readonly receipts: ReadonlyMap<number, ReadonlyMap<number, ReceiptPosition>>;
  /** The bridges of the chats that were opened, by chat. */
  readonly bridges: ReadonlyMap<number, readonly ChatBridge[]>;
  /** Unsent messages, by nonce. */
  readonly pending: ReadonlyMap<string, PendingMessage>;
  /** Why the user is no member of a chat any more, for chats that ended while the page is open. */
  readonly removals: ReadonlyMap<number, Removal>;
  readonly connection: Pick<StateChange, 'to' | 'retryAt'>;
  /** When the device last saw this, if the page opened without a connection; null if the server sent it. */
  readonly snapshotAt: string | null;
}

/** Why the user is no member of a chat any more. */
export type Removal = 'left' | 'removed' | 'banned' | 'deleted';

/** Whether the user has blocked the sender of a message. */
export function isBlocked({ blockedUserIds }: ChatState, senderId: number | null): boolean {
  return senderId !== null && blockedUserIds.has(senderId);
}

/** Whether a user wrote a message. A system message only tells what its sender did. */
export function isWrittenBy({ sender_id, kind }: Message, userId: number): boolean {
  return sender_id === userId && kind !== 'system';
}

/** The ids of the users whom a message shows: its sender, and those whom it mentions. */
export function getShownUserIds({ sender_id, mentions, change }: Message): number[] {
  const affected = change && 'user_id' in change ? [change.user_id] : [];
  return [...(sender_id === null ? [] : [sender_id]), ...mentions, ...affected];
}

/** Whether a chat is a channel, which has a name and may have many members. */
export function isChannel({ type }: Pick<ChatSummary, 'type'>): boolean {
  return type === 'public_channel' || type === 'private_channel';
}

/** Whether a user can have direct chats, and roles in others: not a webhook or a ghost. */
export function hasDirectChats({ kind }: User): boolean {
  return kind === 'person' || kind === 'bot';
}

/** What servers of earlier versions, which may answer during an update, do not send. */
export const DEFAULT_NOTIFICATION_SETTINGS: NotificationSettings = {
  direct_level: 'all',
  group_level: 'all',
  channel_level: 'mentions',
  keywords: [],
  dnd_until: null,
  quiet_hours: null,
  email_digest: true,
};

/** A timeline before the first load. */
export const EMPTY_TIMELINE: Timeline = {
  messages: [],
  hasOlder: true,
  hasNewer: false,
  loading: 'idle',
  failure: null,
};

/** Returns a copy of a map with one entry set. */
export function withEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

/** Returns a map without one entry. */
export function withoutEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

/** Merges messages into a timeline by id; existing messages are replaced. */
export function mergeMessages(existing: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  const last = existing.at(-1);
  const first = incoming[0];
  if (!first) return existing;
  if (!last || first.id > last.id) return [...existing, ...incoming];
  const byId = new Map(existing.map((message) => [message.id, message]));
  for (const message of incoming) byId.set(message.id, message);
  return [...byId.values()].sort((one, other) => one.id - other.id);
}
