import type { ChatSummary, Me, Member, Message, PendingMessage, Presence, StateChange, User } from '@confab/sdk';

/** A run of a chat's history without a gap, oldest first. */
export interface Timeline {
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** Which way is being read. */
  readonly loading: 'idle' | 'initial' | 'older' | 'newer';
  /** Why it could not be read. */
  readonly failure: string | null;
}

/** How far somebody has received and read a chat: message ids, inclusive. */
export interface ReceiptPosition {
  readonly delivered: number;
  readonly read: number;
}

/** All that the screen shows of the server. Never changed in place. */
export interface ChatState {
  readonly me: Me;
  readonly chats: ReadonlyMap<number, ChatSummary>;
  readonly users: ReadonlyMap<number, User>;
  readonly presences: ReadonlyMap<number, Presence>;
  /** By chat and person: until when they are shown as typing, in milliseconds since 1970. */
  readonly typing: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Of chats that have been opened. */
  readonly members: ReadonlyMap<number, readonly Member[]>;
  /** Of chats that have been opened. */
  readonly timelines: ReadonlyMap<number, Timeline>;
  /** By chat and person. */
  readonly receipts: ReadonlyMap<number, ReadonlyMap<number, ReceiptPosition>>;
  /** On their way, by nonce. */
  readonly pending: ReadonlyMap<string, PendingMessage>;
  readonly connection: Pick<StateChange, 'to' | 'retryAt'>;
}

/** A timeline that nothing is known of yet. */
export const EMPTY_TIMELINE: Timeline = {
  messages: [],
  hasOlder: true,
  hasNewer: false,
  loading: 'idle',
  failure: null,
};

/** A map with one thing changed. */
export function withEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

/** A map with one thing gone. */
export function withoutEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

/** Puts messages into a run where their ids belong; what is there already is replaced. */
export function mergeMessages(existing: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  const last = existing.at(-1);
  const first = incoming[0];
  if (!first) return existing;
  if (!last || first.id > last.id) return [...existing, ...incoming];
  const byId = new Map(existing.map((message) => [message.id, message]));
  for (const message of incoming) byId.set(message.id, message);
  return [...byId.values()].sort((one, other) => one.id - other.id);
}
