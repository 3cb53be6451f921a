import type { ChatRow, Me, Member, Message, Pending, Presence, StateChange, User } from '@confab/sdk';

/** A run of a chat's history without a gap, oldest first. */
export interface Timeline {
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** Which way is being read. */
  readonly reading: 'nothing' | 'first' | 'older' | 'newer';
  /** Why it could not be read. */
  readonly failure: string | null;
}

/** How far somebody has received and read a chat: message ids, inclusive. */
export interface Marks {
  readonly delivered: number;
  readonly read: number;
}

/** All that the screen shows of the server. Never changed in place. */
export interface World {
  readonly me: Me;
  readonly chats: ReadonlyMap<number, ChatRow>;
  readonly people: ReadonlyMap<number, User>;
  readonly presences: ReadonlyMap<number, Presence>;
  /** By chat and person: until when they are shown as typing, in milliseconds since 1970. */
  readonly typing: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Of chats that have been opened. */
  readonly members: ReadonlyMap<number, readonly Member[]>;
  /** Of chats that have been opened. */
  readonly timelines: ReadonlyMap<number, Timeline>;
  /** By chat and person. */
  readonly marks: ReadonlyMap<number, ReadonlyMap<number, Marks>>;
  /** On their way, by nonce. */
  readonly pending: ReadonlyMap<string, Pending>;
  readonly connection: Pick<StateChange, 'to' | 'retryAt'>;
}

/** A timeline that nothing is known of yet. */
export const EMPTY: Timeline = { messages: [], hasOlder: true, hasNewer: false, reading: 'nothing', failure: null };

/** A map with one thing changed. */
export function having<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

/** A map with one thing gone. */
export function lacking<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  if (!map.has(key)) return map;
  const left = new Map(map);
  left.delete(key);
  return left;
}

/** Puts messages into a run where their ids belong; what is there already is replaced. */
export function merge(run: readonly Message[], more: readonly Message[]): readonly Message[] {
  const last = run.at(-1);
  const first = more[0];
  if (!first) return run;
  if (!last || first.id > last.id) return [...run, ...more];
  const byId = new Map(run.map((message) => [message.id, message]));
  for (const message of more) byId.set(message.id, message);
  return [...byId.values()].sort((one, other) => one.id - other.id);
}
