import type { ChatRow, Event, EventOf, Message, Pending } from '@confab/sdk';
import { having, lacking, type Marks, merge, type Timeline, type World } from './world';

/** A count that says "so many or more". */
const MOST = 1_000;

const up = (count: number) => Math.min(count + 1, MOST);
const down = (count: number) => (count >= MOST ? count : Math.max(count - 1, 0));

/** The world after an event. Pure; an event that changes nothing answers the same world. */
export function fold(world: World, event: Event): World {
  switch (event.type) {
    case 'message.new':
      return said(world, event.message);
    case 'message.updated':
      return updated(world, event);
    case 'message.deleted':
      return deleted(world, event);
    case 'message.delivered':
      return marked(world, event.chat_id, event.user_id, { delivered: event.message_id });
    case 'message.read':
      return marked(world, event.chat_id, event.user_id, { delivered: event.message_id, read: event.message_id });
    case 'reaction.added':
      return changed(world, event.chat_id, event.message_id, (message) => reacted(world, message, event, 1));
    case 'reaction.removed':
      return changed(world, event.chat_id, event.message_id, (message) => reacted(world, message, event, -1));
    case 'message.pinned':
      return changed(world, event.chat_id, event.message_id, (message) => ({ ...message, pinned: true }));
    case 'message.unpinned':
      return changed(world, event.chat_id, event.message_id, (message) => ({ ...message, pinned: false }));
    case 'chat.new':
    case 'chat.added':
      return { ...world, chats: having(world.chats, event.chat_id, fresh(event)) };
    case 'chat.updated':
      return withRow(world, event.chat_id, (row) => ({ ...row, ...event.chat, role: event.chat.role ?? row.role }));
    case 'chat.muted':
      return withRow(world, event.chat_id, (row) => ({ ...row, is_muted: event.is_muted }));
    case 'chat.removed':
    case 'chat.deleted':
      return without(world, event.chat_id);
    case 'chat.trimmed':
      return withRun(world, event.chat_id, (run) => ({
        ...run,
        messages: run.messages.filter((message) => message.id > event.message_id),
        hasOlder: false,
      }));
    case 'member.joined':
      return joined(world, event);
    case 'member.left':
      return left(world, event);
    case 'member.updated':
      return promoted(world, event);
    case 'read_state':
      return withRow(world, event.chat_id, (row) => ({
        ...row,
        last_read_message_id: event.last_read_message_id,
        unread_count: event.unread_count,
        mention_count: event.mention_count,
      }));
    case 'user.updated':
      return {
        ...world,
        people: having(world.people, event.user.id, event.user),
        me: event.user.id === world.me.id ? { ...world.me, ...event.user } : world.me,
      };
    case 'presence':
      return { ...world, presences: having(world.presences, event.user_id, event) };
    case 'typing':
      return typed(world, event.chat_id, event.user_id, event.expires_in_ms);
    default:
      return world;
  }
}

/** The world once the server has a message of ours, which its event may tell later, or has told. */
export function sent(world: World, nonce: string, message: Message): World {
  return said({ ...world, pending: lacking(world.pending, nonce) }, message);
}

/** The world with a message on its way. */
export function waiting(world: World, pending: Pending): World {
  return { ...world, pending: having(world.pending, pending.nonce, pending) };
}

function said(world: World, message: Message): World {
  const row = world.chats.get(message.chat_id);
  const isNew = row !== undefined && message.id > (row.last_message?.id ?? 0);
  const isMine = message.sender_id === world.me.id;
  let next = world;
  if (row && isNew) {
    const chats = having(world.chats, row.id, {
      ...row,
      last_message: message,
      unread_count: isMine ? row.unread_count : up(row.unread_count),
      mention_count: !isMine && calls(world, message) ? up(row.mention_count) : row.mention_count,
    });
    next = { ...next, chats };
  }
  next = withRun(next, message.chat_id, (run) => {
    // A run that ends before the present must not be joined to it.
    const isKnown = message.id <= (run.messages.at(-1)?.id ?? 0) && run.messages.some(({ id }) => id === message.id);
    if (run.hasNewer && !isKnown) return run;
    // Nothing was read of it yet: what is said is in what will be.
    if (run.messages.length === 0 && run.hasOlder && run.reading === 'nothing') return run;
    return { ...run, messages: merge(run.messages, [message]) };
  });
  if (message.sender_id !== null) next = typed(next, message.chat_id, message.sender_id, 0);
  return message.nonce && isMine ? { ...next, pending: lacking(next.pending, message.nonce) } : next;
}

function updated(world: World, event: EventOf<'message.updated'>): World {
  const { message } = event;
  const next = withRow(world, event.chat_id, (row) => {
    const isUnread = message.id > (row.last_read_message_id ?? 0) && message.sender_id !== world.me.id;
    const before = event.mentions_everyone_before || event.mentions_before.includes(world.me.id);
    const after = calls(world, message);
    const mentions = before === after ? row.mention_count : after ? up(row.mention_count) : down(row.mention_count);
    return { ...row, mention_count: isUnread ? mentions : row.mention_count };
  });
  return changed(next, event.chat_id, message.id, (known) => {
    const reactions = message.reactions.map((one) => ({
      ...one,
      me: known.reactions.find(({ emoji }) => emoji === one.emoji)?.me ?? one.me,
    }));
    return { ...message, nonce: known.nonce, reactions };
  });
}

function deleted(world: World, event: EventOf<'message.deleted'>): World {
  const next = withRow(world, event.chat_id, (row) => {
    const isUnread = event.message_id > (row.last_read_message_id ?? 0) && event.sender_id !== world.me.id;
    if (!isUnread) return row;
    const called = event.mentions_everyone_before || event.mentions_before.includes(world.me.id);
    const mention_count = called ? down(row.mention_count) : row.mention_count;
    return { ...row, unread_count: down(row.unread_count), mention_count };
  });
  return changed(next, event.chat_id, event.message_id, (message) => ({
    ...message,
    content: '',
    files: [],
    reactions: [],
    pinned: false,
    deleted_at: event.deleted_at,
  }));
}

function reacted(
  world: World,
  message: Message,
  { emoji, user_id }: { readonly emoji: string; readonly user_id: number },
  by: 1 | -1,
): Message {
  const isMine = user_id === world.me.id;
  const known = message.reactions.find((one) => one.emoji === emoji);
  // Told already: the answer to our own request was first.
  if (isMine && (known?.me ?? false) === by > 0) return message;
  if (!known && by < 0) return message;
  const reactions = known
    ? message.reactions.map((one) =>
        one === known ? { ...one, count: one.count + by, me: isMine ? by > 0 : one.me } : one,
      )
    : [...message.reactions, { emoji, count: 1, me: isMine }];
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}

function joined(world: World, event: EventOf<'member.joined'>): World {
  const people = having(world.people, event.user_id, event.user);
  const known = world.members.get(event.chat_id);
  const member = { ...event.user, role: event.role, joined_at: event.at };
  const members = known
    ? having(world.members, event.chat_id, [...known.filter(({ id }) => id !== event.user_id), member])
    : world.members;
  return withRow({ ...world, people, members }, event.chat_id, (row) => ({
    ...row,
    member_count: row.member_count + 1,
  }));
}

function left(world: World, event: EventOf<'member.left'>): World {
  const known = world.members.get(event.chat_id);
  const members = known
    ? having(
        world.members,
        event.chat_id,
        known.filter(({ id }) => id !== event.user_id),
      )
    : world.members;
  return withRow({ ...typed(world, event.chat_id, event.user_id, 0), members }, event.chat_id, (row) => ({
    ...row,
    member_count: Math.max(row.member_count - 1, 0),
  }));
}

function promoted(world: World, event: EventOf<'member.updated'>): World {
  const known = world.members.get(event.chat_id);
  const members = known
    ? having(
        world.members,
        event.chat_id,
        known.map((one) => (one.id === event.user_id ? { ...one, role: event.role } : one)),
      )
    : world.members;
  const next = { ...world, members };
  return event.user_id === world.me.id ? withRow(next, event.chat_id, (row) => ({ ...row, role: event.role })) : next;
}

function typed(world: World, chatId: number, userId: number, forMs: number): World {
  const here = world.typing.get(chatId) ?? new Map<number, number>();
  if (forMs === 0 && !here.has(userId)) return world;
  const now = forMs === 0 ? lacking(here, userId) : having(here, userId, Date.now() + forMs);
  return { ...world, typing: having(world.typing, chatId, now) };
}

function marked(world: World, chatId: number, userId: number, upto: Partial<Marks>): World {
  const here = world.marks.get(chatId) ?? new Map<number, Marks>();
  const known = here.get(userId) ?? { delivered: 0, read: 0 };
  const marks = {
    delivered: Math.max(known.delivered, upto.delivered ?? 0),
    read: Math.max(known.read, upto.read ?? 0),
  };
  return { ...world, marks: having(world.marks, chatId, having(here, userId, marks)) };
}

/** Whether a message calls me. */
function calls(world: World, message: Message): boolean {
  return message.mentions_everyone || message.mentions.includes(world.me.id);
}

/** A chat that has just come. */
function fresh({ chat, last_read_message_id }: EventOf<'chat.new'> | EventOf<'chat.added'>): ChatRow {
  return { ...chat, is_muted: false, last_message: null, last_read_message_id, mention_count: 0, unread_count: 0 };
}

function without(world: World, chatId: number): World {
  return {
    ...world,
    chats: lacking(world.chats, chatId),
    timelines: lacking(world.timelines, chatId),
    members: lacking(world.members, chatId),
    marks: lacking(world.marks, chatId),
    typing: lacking(world.typing, chatId),
  };
}

function withRow(world: World, chatId: number, change: (row: ChatRow) => ChatRow): World {
  const row = world.chats.get(chatId);
  return row ? { ...world, chats: having(world.chats, chatId, change(row)) } : world;
}

function withRun(world: World, chatId: number, change: (run: Timeline) => Timeline): World {
  const run = world.timelines.get(chatId);
  if (!run) return world;
  const next = change(run);
  return next === run ? world : { ...world, timelines: having(world.timelines, chatId, next) };
}

/** Changes a message wherever it is shown. */
function changed(world: World, chatId: number, id: number, change: (message: Message) => Message): World {
  const next = withRun(world, chatId, (run) => {
    const nth = run.messages.findIndex((message) => message.id === id);
    const known = run.messages[nth];
    return known ? { ...run, messages: run.messages.with(nth, change(known)) } : run;
  });
  return withRow(next, chatId, (row) =>
    row.last_message?.id === id ? { ...row, last_message: change(row.last_message) } : row,
  );
}
