import type { Http } from './http.js';
import type * as wire from './wire/types.gen.js';

/** Which page of history. */
export interface HistoryQuery {
  readonly before?: number;
  readonly after?: number;
  readonly around?: number;
  /** 1 to 100; 50 without. */
  readonly limit?: number;
}

/** What is searched for. */
export interface SearchQuery {
  readonly q: string;
  readonly chat_id?: number;
  readonly from?: number;
  readonly has?: wire.Has;
  readonly before?: string;
  readonly after?: string;
  readonly limit?: number;
}

/** Every question and every change, by noun. */
export function createApi({ request, fetch }: Http) {
  const get = <Answer>(path: string, query?: object) =>
    request<Answer>('GET', path, { query: query as Record<string, string | number | undefined> });
  const post = <Answer = void>(path: string, body?: unknown) => request<Answer>('POST', path, { body });
  const put = <Answer = void>(path: string, body?: unknown) => request<Answer>('PUT', path, { body });
  const patch = <Answer>(path: string, body: unknown) => request<Answer>('PATCH', path, { body });
  const remove = (path: string) => request<void>('DELETE', path);
  const bytes = (path: string, signal?: AbortSignal) =>
    fetch('GET', path, signal ? { signal } : {}).then((response) => response.blob());
  const emoji = (text: string) => encodeURIComponent(text);

  return {
    /** Everything for a first screen, and where to go on from. */
    bootstrap: () => get<wire.Bootstrap>('/api/bootstrap'),
    /** What a frontend should know before anybody signs in. */
    config: () => request<wire.Config>('GET', '/api/config', { anonymous: true }),
    events: {
      /** The log after a cursor, as a page. */
      after: (cursor: string, limit?: number) => get<wire.EventPage>('/api/events', { after: cursor, limit }),
    },
    me: {
      get: () => get<wire.Me>('/api/me'),
      update: (body: wire.UserPatch) => patch<wire.Me>('/api/me', body),
      changePassword: (body: wire.ChangePassword) => put('/api/me/password', body),
      /** Everything that is known of the caller, and everything they said: JSON, an object a line. */
      export: (signal?: AbortSignal) => bytes('/api/me/export', signal),
      /** Closes the account for good. */
      close: (password: string) => request<void>('DELETE', '/api/me', { body: { password } }),
      sessions: () => get<wire.SessionList>('/api/sessions').then(({ items }) => items),
      endSession: (id: string) => remove(`/api/sessions/${id}`),
    },
    people: {
      get: (id: number) => get<wire.User>(`/api/users/${id}`),
      /** At most 100 at once; who is not there is left out. */
      list: (ids: readonly number[]) =>
        get<wire.UserList>('/api/users', { ids: ids.join(',') }).then(({ items }) => items),
      search: (q: string, limit?: number) =>
        get<wire.UserList>('/api/users/search', { q, limit }).then(({ items }) => items),
      blocked: () => get<wire.UserList>('/api/blocks').then(({ items }) => items),
      block: (id: number) => put(`/api/users/${id}/block`),
      unblock: (id: number) => remove(`/api/users/${id}/block`),
    },
    presence: {
      get: (userId: number) => get<wire.Presence>(`/api/presence/${userId}`),
      /** At most 100 at once; those who share no chat with the caller are left out. */
      list: (ids: readonly number[]) =>
        get<wire.PresenceList>('/api/presence', { ids: ids.join(',') }).then(({ items }) => items),
      set: (status: wire.Status) => put<wire.Presence>('/api/presence', { status }),
    },
    chats: {
      list: () => get<wire.ChatRowList>('/api/chats').then(({ items }) => items),
      get: (id: number) => get<wire.Chat>(`/api/chats/${id}`),
      create: (body: wire.NewChat) => post<wire.Chat>('/api/chats', body),
      update: (id: number, body: wire.ChatPatch) => patch<wire.Chat>(`/api/chats/${id}`, body),
      remove: (id: number) => remove(`/api/chats/${id}`),
      channels: (query: { q?: string; after?: number; limit?: number } = {}) =>
        get<wire.ChatPage>('/api/channels', query),
      join: (id: number) => post<wire.Chat>(`/api/chats/${id}/join`),
      leave: (id: number) => post(`/api/chats/${id}/leave`),
      mute: (id: number) => put(`/api/chats/${id}/mute`),
      unmute: (id: number) => remove(`/api/chats/${id}/mute`),
      read: (id: number, messageId: number) => put<wire.Mark>(`/api/chats/${id}/read`, { message_id: messageId }),
      delivered: (id: number, messageId: number) =>
        put<wire.Mark>(`/api/chats/${id}/delivered`, { message_id: messageId }),
      typing: (id: number) => post(`/api/chats/${id}/typing`),
      pins: (id: number) => get<wire.MessageList>(`/api/chats/${id}/pins`).then(({ items }) => items),
    },
    members: {
      list: (chatId: number, query: { after?: number; limit?: number } = {}) =>
        get<wire.MemberPage>(`/api/chats/${chatId}/members`, query),
      add: (chatId: number, body: wire.NewMember) => post<wire.Member>(`/api/chats/${chatId}/members`, body),
      setRole: (chatId: number, userId: number, role: wire.Role) =>
        patch<wire.Member>(`/api/chats/${chatId}/members/${userId}`, { role }),
      remove: (chatId: number, userId: number) => remove(`/api/chats/${chatId}/members/${userId}`),
      transfer: (chatId: number, userId: number) => post(`/api/chats/${chatId}/transfer`, { user_id: userId }),
      banned: (chatId: number, query: { after?: number; limit?: number } = {}) =>
        get<wire.BanPage>(`/api/chats/${chatId}/bans`, query),
      ban: (chatId: number, userId: number, reason?: string) =>
        put(`/api/chats/${chatId}/bans/${userId}`, reason === undefined ? {} : { reason }),
      unban: (chatId: number, userId: number) => remove(`/api/chats/${chatId}/bans/${userId}`),
    },
    invites: {
      create: (chatId: number, body: wire.NewInvite = {}) => post<wire.Invite>(`/api/chats/${chatId}/invites`, body),
      list: (chatId: number) => get<wire.InviteList>(`/api/chats/${chatId}/invites`).then(({ items }) => items),
      revoke: (chatId: number, code: string) => remove(`/api/chats/${chatId}/invites/${code}`),
      preview: (code: string) => get<wire.InvitePreview>(`/api/invites/${code}`),
      accept: (code: string) => post<wire.Chat>(`/api/invites/${code}`),
    },
    messages: {
      list: (chatId: number, query: HistoryQuery = {}) => get<wire.MessagePage>(`/api/chats/${chatId}/messages`, query),
      get: (id: number) => get<wire.Message>(`/api/messages/${id}`),
      edit: (id: number, content: string) => patch<wire.Message>(`/api/messages/${id}`, { content }),
      remove: (id: number) => remove(`/api/messages/${id}`),
      edits: (id: number) => get<wire.EditList>(`/api/messages/${id}/edits`).then(({ items }) => items),
      replies: (id: number, query: { after?: number; limit?: number } = {}) =>
        get<wire.MessagePage>(`/api/messages/${id}/replies`, query),
      receipts: (id: number) => get<wire.ReceiptPage>(`/api/messages/${id}/receipts`),
      react: (id: number, text: string) => put(`/api/messages/${id}/reactions/${emoji(text)}`),
      unreact: (id: number, text: string) => remove(`/api/messages/${id}/reactions/${emoji(text)}`),
      pin: (id: number) => put(`/api/messages/${id}/pin`),
      unpin: (id: number) => remove(`/api/messages/${id}/pin`),
    },
    files: {
      /** The bytes at the `url`, or the `thumbnail_url`, of a file or a person. They are private: a page shows them as `blob:`. */
      get: (url: string, signal?: AbortSignal) => bytes(url, signal),
    },
    search: (query: SearchQuery) => get<wire.MessagePage>('/api/search', query),
    /** The page after one, from its `next`. */
    searchOn: (next: string) => get<wire.MessagePage>(`/api/search?${next}`),
  };
}

/** Every question and every change, by noun. */
export type Api = ReturnType<typeof createApi>;
