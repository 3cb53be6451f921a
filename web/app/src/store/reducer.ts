import type { ChatSummary, Event, EventOf, InboxItem, Message, PendingMessage } from '@confab/sdk';
import {
  type ChatState,
  isBlocked,
  mergeMessages,
  type ReceiptPosition,
  type Removal,
  type Timeline,
  withEntry,
  withoutEntry,
} from './chatState';

/** Maximum value of the server's counts. It means "this number or more". */
const MAX_COUNT = 1_000;

const increment = (count: number) => Math.min(count + 1, MAX_COUNT);
const decrement = (count: number) => (count >= MAX_COUNT ? count : Math.max(count - 1, 0));

/** Applies an event. Pure. Returns the same state if nothing changes. */
export function reduce(state: ChatState, event: Event): ChatState {
  switch (event.type) {
    case 'message.new':
      return applyMessage(state, event.message);
    case 'message.updated':
      return applyMessageUpdated(state, event);
    case 'message.deleted':
      return applyMessageDeleted(state, event);
    case 'message.delivered':
      return applyReceipt(state, event.chat_id, event.user_id, { delivered: event.message_id });
    case 'message.read':
      return applyReceipt(state, event.chat_id, event.user_id, { delivered: event.message_id, read: event.message_id });
    case 'reaction.added':
      return updateMessage(state, event.chat_id, event.message_id, (message) =>
        applyReaction(state, message, event, 1),
      );
    case 'reaction.removed':
      return updateMessage(state, event.chat_id, event.message_id, (message) =>
        applyReaction(state, message, event, -1),
      );
    case 'message.relayed':
      return applyRelayed(state, event);
    case 'message.pinned':
      return updateMessage(state, event.chat_id, event.message_id, (message) => ({ ...message, pinned: true }));
    case 'message.unpinned':
      return updateMessage(state, event.chat_id, event.message_id, (message) => ({ ...message, pinned: false }));
    case 'chat.new':
    case 'chat.added':
      return { ...state, chats: withEntry(state.chats, event.chat_id, toChatSummary(event)) };
    case 'chat.updated':
      return updateChat(state, event.chat_id, (chat) => ({
        ...chat,
        ...event.chat,
        role: event.chat.role ?? chat.role,
        permissions: event.chat.permissions ?? chat.permissions,
      }));
    case 'chat.muted':
      return updateChat(state, event.chat_id, (chat) => ({
        ...chat,
        is_muted: event.is_muted,
        muted_until: event.muted_until ?? null,
      }));
    case 'chat.notification_level':
      return updateChat(state, event.chat_id, (chat) => ({ ...chat, notification_level: event.notification_level }));
    case 'notification_settings.updated':
      return { ...state, notificationSettings: event.settings };
    case 'chat.removed':
      return removeChat(state, event.chat_id, event.reason);
    case 'chat.deleted':
      return removeChat(state, event.chat_id, 'deleted');
    case 'chat.trimmed':
      return updateTimeline(state, event.chat_id, (timeline) => ({
        ...timeline,
        messages: timeline.messages.filter((message) => message.id > event.message_id),
        hasOlder: false,
      }));
    case 'member.joined':
      return applyMemberJoined(state, event);
    case 'member.left':
      return applyMemberLeft(state, event);
    case 'member.updated':
      return applyRoleChange(state, event);
    case 'read_state':
      return updateChat(state, event.chat_id, (chat) => ({
        ...chat,
        last_read_message_id: event.last_read_message_id,
        unread_count: event.unread_count,
        mention_count: event.mention_count,
      }));
    case 'inbox.added':
      return applyInboxItem(state, event.item, increment);
    case 'inbox.removed':
      return applyInboxItem(state, event.item, decrement);
    case 'inbox.seen':
      return applyInboxSeen(state, event);
    case 'message.saved':
      return { ...state, savedMessageIds: new Set([...state.savedMessageIds, event.message_id]) };
    case 'message.unsaved': {
      const others = [...state.savedMessageIds].filter((id) => id !== event.message_id);
      return { ...state, savedMessageIds: new Set(others) };
    }
    case 'user.updated':
      return {
        ...state,
        users: withEntry(state.users, event.user.id, event.user),
        me: event.user.id === state.me.id ? { ...state.me, ...event.user } : state.me,
      };
    case 'user.blocked':
      return { ...state, blockedUserIds: new Set([...state.blockedUserIds, event.user.id]) };
    case 'user.unblocked':
      return { ...state, blockedUserIds: new Set([...state.blockedUserIds].filter((id) => id !== event.user.id)) };
    case 'presence':
      return { ...state, presences: withEntry(state.presences, event.user_id, event) };
    case 'typing':
      return applyTyping(state, event.chat_id, event.user_id, event.expires_in_ms);
    default:
      return state;
  }
}

/** Counts an unseen item of the inbox, or no longer. */
function applyInboxItem(state: ChatState, item: InboxItem, change: (count: number) => number): ChatState {
  const isOwn = item.actor_id === state.me.id;
  if (isOwn || isBlocked(state, item.actor_id) || item.id <= state.lastSeenInboxItemId) return state;
  return updateChat(state, item.chat_id, (chat) => {
    // Items for everyone are not for users who joined later.
    const isVisible = !item.is_for_everyone || (item.message_id ?? 0) > chat.joined_after_message_id;
    return isVisible ? { ...chat, inbox_count: change(chat.inbox_count) } : chat;
  });
}

function applyInboxSeen(state: ChatState, { last_seen_item_id, chats }: EventOf<'inbox.seen'>): ChatState {
  const counts = new Map(chats.map(({ chat_id, inbox_count }) => [chat_id, inbox_count]));
  const changed = [...state.chats].map(([id, chat]) => {
    const inbox_count = counts.get(id) ?? 0;
    return [id, inbox_count === chat.inbox_count ? chat : { ...chat, inbox_count }] as const;
  });
  return { ...state, lastSeenInboxItemId: last_seen_item_id, chats: new Map(changed) };
}

/** Adds a message to those that did not arrive on another network, or removes it. */
function applyRelayed(state: ChatState, event: EventOf<'message.relayed'>): ChatState {
  const bridges = state.bridges.get(event.chat_id);
  if (!bridges) return state;
  const changed = bridges.map((bridge) => {
    if (bridge.bridge_id !== event.bridge_id) return bridge;
    const others = bridge.failed.filter(({ message_id }) => message_id !== event.message_id);
    if (event.state !== 'failed') return others.length < bridge.failed.length ? { ...bridge, failed: others } : bridge;
    return { ...bridge, failed: [{ message_id: event.message_id, error: event.error }, ...others] };
  });
  return { ...state, bridges: withEntry(state.bridges, event.chat_id, changed) };
}

/** Applies a sent message. Its event may arrive before or after. */
export function applySent(state: ChatState, nonce: string, message: Message): ChatState {
  return applyMessage({ ...state, pending: withoutEntry(state.pending, nonce) }, message);
}

/** Adds or updates an unsent message. */
export function applyPending(state: ChatState, pending: PendingMessage): ChatState {
  return { ...state, pending: withEntry(state.pending, pending.nonce, pending) };
}

function applyMessage(state: ChatState, message: Message): ChatState {
  const chat = state.chats.get(message.chat_id);
  const isNew = chat !== undefined && message.id > (chat.last_message?.id ?? 0);
  const isMine = message.sender_id === state.me.id;
  const counts = countsAsUnread(state, message);
  let next = state;
  if (chat && isNew) {
    const chats = withEntry(state.chats, chat.id, {
      ...chat,
      last_message: message,
      unread_count: counts ? increment(chat.unread_count) : chat.unread_count,
      mention_count: counts && mentionsMe(state, message) ? increment(chat.mention_count) : chat.mention_count,
    });
    next = { ...next, chats };
  }
  next = updateTimeline(next, message.chat_id, (timeline) => {
    // Newer messages are not loaded: appending this one would leave a gap.
    const isKnown =
      message.id <= (timeline.messages.at(-1)?.id ?? 0) && timeline.messages.some(({ id }) => id === message.id);
    if (timeline.hasNewer && !isKnown) return timeline;
    // The timeline is not loaded yet; the first page will contain this message.
    if (timeline.messages.length === 0 && timeline.hasOlder && timeline.loading === 'idle') return timeline;
    return { ...timeline, messages: mergeMessages(timeline.messages, [message]) };
  });
  if (message.sender_id !== null) next = applyTyping(next, message.chat_id, message.sender_id, 0);
  return message.nonce && isMine ? { ...next, pending: withoutEntry(next.pending, message.nonce) } : next;
}

function applyMessageUpdated(state: ChatState, event: EventOf<'message.updated'>): ChatState {
  const { message } = event;
  const next = updateChat(state, event.chat_id, (chat) => {
    const isUnread = message.id > (chat.last_read_message_id ?? 0) && countsAsUnread(state, message);
    const before = event.mentions_everyone_before || event.mentions_before.includes(state.me.id);
    const after = mentionsMe(state, message);
    const mentions =
      before === after ? chat.mention_count : after ? increment(chat.mention_count) : decrement(chat.mention_count);
    return { ...chat, mention_count: isUnread ? mentions : chat.mention_count };
  });
  return updateMessage(next, event.chat_id, message.id, (known) => {
    const reactions = message.reactions.map((one) => ({
      ...one,
      me: known.reactions.find(({ emoji }) => emoji === one.emoji)?.me ?? one.me,
    }));
    return { ...message, nonce: known.nonce, reactions };
  });
}

function applyMessageDeleted(state: ChatState, event: EventOf<'message.deleted'>): ChatState {
  const next = updateChat(state, event.chat_id, (chat) => {
    const isUnread = event.message_id > (chat.last_read_message_id ?? 0) && countsAsUnread(state, event);
    if (!isUnread) return chat;
    const wasMentioned = event.mentions_everyone_before || event.mentions_before.includes(state.me.id);
    const mention_count = wasMentioned ? decrement(chat.mention_count) : chat.mention_count;
    return { ...chat, unread_count: decrement(chat.unread_count), mention_count };
  });
  return updateMessage(next, event.chat_id, event.message_id, (message) => ({
    ...message,
    content: '',
    files: [],
    reactions: [],
    pinned: false,
    change: null,
    deleted_at: event.deleted_at,
  }));
}

function applyReaction(
  state: ChatState,
  message: Message,
  { emoji, user_id }: { readonly emoji: string; readonly user_id: number },
  delta: 1 | -1,
): Message {
  const isMine = user_id === state.me.id;
  const known = message.reactions.find((one) => one.emoji === emoji);
  // Already applied optimistically.
  if (isMine && (known?.me ?? false) === delta > 0) return message;
  if (!known && delta < 0) return message;
  const reactions = known
    ? message.reactions.map((one) =>
        one === known ? { ...one, count: one.count + delta, me: isMine ? delta > 0 : one.me } : one,
      )
    : [...message.reactions, { emoji, count: 1, me: isMine }];
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}

function applyMemberJoined(state: ChatState, event: EventOf<'member.joined'>): ChatState {
  const users = withEntry(state.users, event.user_id, event.user);
  const known = state.members.get(event.chat_id);
  const member = { ...event.user, role: event.role, joined_at: event.at };
  const members = known
    ? withEntry(state.members, event.chat_id, [...known.filter(({ id }) => id !== event.user_id), member])
    : state.members;
  return updateChat({ ...state, users, members }, event.chat_id, (chat) => ({
    ...chat,
    member_count: chat.member_count + 1,
  }));
}

function applyMemberLeft(state: ChatState, event: EventOf<'member.left'>): ChatState {
  const known = state.members.get(event.chat_id);
  const members = known
    ? withEntry(
        state.members,
        event.chat_id,
        known.filter(({ id }) => id !== event.user_id),
      )
    : state.members;
  return updateChat({ ...applyTyping(state, event.chat_id, event.user_id, 0), members }, event.chat_id, (chat) => ({
    ...chat,
    member_count: Math.max(chat.member_count - 1, 0),
  }));
}

function applyRoleChange(state: ChatState, event: EventOf<'member.updated'>): ChatState {
  const known = state.members.get(event.chat_id);
  const members = known
    ? withEntry(
        state.members,
        event.chat_id,
        known.map((one) => (one.id === event.user_id ? { ...one, role: event.role } : one)),
      )
    : state.members;
  const next = { ...state, members };
  return event.user_id === state.me.id
    ? updateChat(next, event.chat_id, (chat) => ({ ...chat, role: event.role, permissions: event.permissions }))
    : next;
}

function applyTyping(state: ChatState, chatId: number, userId: number, durationMs: number): ChatState {
  const typingUsers = state.typing.get(chatId) ?? new Map<number, number>();
  if (durationMs === 0 && !typingUsers.has(userId)) return state;
  const nextTyping =
    durationMs === 0 ? withoutEntry(typingUsers, userId) : withEntry(typingUsers, userId, Date.now() + durationMs);
  return { ...state, typing: withEntry(state.typing, chatId, nextTyping) };
}

function applyReceipt(state: ChatState, chatId: number, userId: number, position: Partial<ReceiptPosition>): ChatState {
  const chatReceipts = state.receipts.get(chatId) ?? new Map<number, ReceiptPosition>();
  const known = chatReceipts.get(userId) ?? { delivered: 0, read: 0 };
  const receipt = {
    delivered: Math.max(known.delivered, position.delivered ?? 0),
    read: Math.max(known.read, position.read ?? 0),
  };
  return { ...state, receipts: withEntry(state.receipts, chatId, withEntry(chatReceipts, userId, receipt)) };
}

/** Whether a message counts as unread: neither the user's own, nor one of a blocked user, nor a system message. */
function countsAsUnread(state: ChatState, { sender_id, kind }: Pick<Message, 'sender_id' | 'kind'>): boolean {
  return sender_id !== state.me.id && !isBlocked(state, sender_id) && kind !== 'system';
}

/** Whether a message mentions the user. */
function mentionsMe(state: ChatState, message: Message): boolean {
  return message.mentions_everyone || message.mentions.includes(state.me.id);
}

/** Creates the summary of a new chat. */
function toChatSummary({ chat, last_read_message_id }: EventOf<'chat.new'> | EventOf<'chat.added'>): ChatSummary {
  return {
    ...chat,
    is_muted: false,
    muted_until: null,
    notification_level: null,
    inbox_count: 0,
    joined_after_message_id: last_read_message_id ?? 0,
    last_message: null,
    last_read_message_id,
    mention_count: 0,
    unread_count: 0,
  };
}

function removeChat(state: ChatState, chatId: number, removal: Removal): ChatState {
  return {
    ...state,
    chats: withoutEntry(state.chats, chatId),
    removals: withEntry(state.removals, chatId, removal),
    timelines: withoutEntry(state.timelines, chatId),
    members: withoutEntry(state.members, chatId),
    receipts: withoutEntry(state.receipts, chatId),
    typing: withoutEntry(state.typing, chatId),
  };
}

function updateChat(state: ChatState, chatId: number, change: (chat: ChatSummary) => ChatSummary): ChatState {
  const chat = state.chats.get(chatId);
  return chat ? { ...state, chats: withEntry(state.chats, chatId, change(chat)) } : state;
}

function updateTimeline(state: ChatState, chatId: number, change: (timeline: Timeline) => Timeline): ChatState {
  const timeline = state.timelines.get(chatId);
  if (!timeline) return state;
  const next = change(timeline);
  return next === timeline ? state : { ...state, timelines: withEntry(state.timelines, chatId, next) };
}

/** Changes a message in the timeline and in the chat's summary. */
function updateMessage(state: ChatState, chatId: number, id: number, change: (message: Message) => Message): ChatState {
  const next = updateTimeline(state, chatId, (timeline) => {
    const index = timeline.messages.findIndex((message) => message.id === id);
    const known = timeline.messages[index];
    return known ? { ...timeline, messages: timeline.messages.with(index, change(known)) } : timeline;
  });
  return updateChat(next, chatId, (chat) =>
    chat.last_message?.id === id ? { ...chat, last_message: change(chat.last_message) } : chat,
  );
}
