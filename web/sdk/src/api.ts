import type { HttpClient } from './http.js';
import type * as wire from './wire/types.gen.js';

/** The query of a request, as the server describes it. */
type Query<Data extends { query?: unknown }> = NonNullable<Data['query']>;

/** The page of a chat's history to fetch. */
export type HistoryQuery = Query<wire.MessagesListData>;

/** The text and the filters of a search. */
export type SearchQuery = Query<wire.SearchMessagesData>;

/** Creates the HTTP API, grouped by resource. */
export function createApi({ request, fetch }: HttpClient) {
  const get = <ResponseBody>(path: string, query?: object) =>
    request<ResponseBody>('GET', path, { query: query as Record<string, string | number | undefined> });
  const post = <ResponseBody = void>(path: string, body?: unknown) => request<ResponseBody>('POST', path, { body });
  const put = <ResponseBody = void>(path: string, body?: unknown) => request<ResponseBody>('PUT', path, { body });
  const patch = <ResponseBody>(path: string, body: unknown) => request<ResponseBody>('PATCH', path, { body });
  const remove = (path: string) => request<void>('DELETE', path);
  const getBlob = (path: string, signal?: AbortSignal) =>
    fetch('GET', path, signal ? { signal } : {}).then((response) => response.blob());
  const encodeEmoji = (text: string) => encodeURIComponent(text);

  return {
    /** Get the initial state and the cursor to connect from. */
    bootstrap: () => get<wire.Bootstrap>('/api/bootstrap'),
    /** Get the public configuration; no sign-in needed. */
    getConfig: () => request<wire.Config>('GET', '/api/config', { anonymous: true }),
    events: {
      /** Get a page of the event log after a cursor. */
      listAfter: (cursor: string, limit?: number) => get<wire.EventPage>('/api/events', { after: cursor, limit }),
    },
    me: {
      get: () => get<wire.Me>('/api/me'),
      update: (body: wire.UserPatch) => patch<wire.Me>('/api/me', body),
      changePassword: (body: wire.ChangePassword) => put('/api/me/password', body),
      /** Sends a link to the address, which the account gets when the user opens it. */
      changeEmail: (body: wire.EmailChange) => put('/api/me/email', body),
      /** Export the caller's data and messages as NDJSON. */
      export: (signal?: AbortSignal) => getBlob('/api/me/export', signal),
      /** Delete the account permanently. */
      delete: (password: string) => request<void>('DELETE', '/api/me', { body: { password } }),
      listSessions: () => get<wire.SessionList>('/api/sessions').then(({ items }) => items),
      revokeOtherSessions: () => remove('/api/sessions'),
      revokeSession: (id: string) => remove(`/api/sessions/${id}`),
      /** The sign-ins, failed ones included, changes of the password and exports, newest first. */
      listActivity: () => get<wire.ActivityList>('/api/me/activity').then(({ items }) => items),
    },
    /** What works with the token of a link in a mail, without a session. */
    mail: {
      requestPasswordReset: (email: string) =>
        request<void>('POST', '/api/password-resets', { body: { email }, anonymous: true }),
      resetPassword: (body: wire.PasswordResetConfirmation) =>
        request<void>('POST', '/api/password-resets/confirmation', { body, anonymous: true }),
      confirmEmail: (token: string) =>
        request<void>('POST', '/api/me/email/confirmation', { body: { token }, anonymous: true }),
      unsubscribe: (token: string) =>
        request<void>('POST', '/api/mail/unsubscribe', { query: { token }, anonymous: true }),
    },
    users: {
      get: (id: number) => get<wire.User>(`/api/users/${id}`),
      /** At most 100 ids; unknown ids are omitted. */
      list: (ids: readonly number[]) =>
        get<wire.UserList>('/api/users', { ids: ids.join(',') }).then(({ items }) => items),
      search: (q: string, limit?: number) =>
        get<wire.UserList>('/api/users/search', { q, limit }).then(({ items }) => items),
      /** List the people and bots of the user directory, by username. */
      listDirectory: (query: Query<wire.UsersListDirectoryData> = {}) =>
        get<wire.UserPage>('/api/users/directory', query),
      /** Get the next page of the directory, from the `next` of a page. */
      listDirectoryNext: (next: string) => get<wire.UserPage>(`/api/users/directory?${next}`),
      /** List the chats that the caller shares with a user. */
      listSharedChats: (id: number) => get<wire.ChatList>(`/api/users/${id}/chats`).then(({ items }) => items),
      listBlocked: () => get<wire.UserList>('/api/blocks').then(({ items }) => items),
      block: (id: number) => put(`/api/users/${id}/block`),
      unblock: (id: number) => remove(`/api/users/${id}/block`),
    },
    /** Bots of the caller. */
    bots: {
      list: () => get<wire.UserList>('/api/bots').then(({ items }) => items),
      create: (body: wire.NewBot) => post<wire.User>('/api/bots', body),
      update: (id: number, body: wire.BotPatch) => patch<wire.User>(`/api/bots/${id}`, body),
      delete: (id: number) => remove(`/api/bots/${id}`),
    },
    /** API tokens of the caller and of the caller's bots. */
    tokens: {
      list: () => get<wire.ApiTokenList>('/api/tokens').then(({ items }) => items),
      /** The response is the only one with the token itself. */
      create: (body: wire.NewApiToken) => post<wire.CreatedApiToken>('/api/tokens', body),
      revoke: (id: string) => remove(`/api/tokens/${id}`),
    },

    /** What is addressed to the caller, in all chats. */
    inbox: {
      list: (query: Query<wire.InboxListData> = {}) => get<wire.InboxEntryPage>('/api/inbox', query),
      /** Get the next page, from the `next` of a page. */
      listNext: (next: string) => get<wire.InboxEntryPage>(`/api/inbox?${next}`),
      /** Mark the items up to one as seen. */
      markSeen: (itemId: number) => put('/api/inbox/seen', { last_seen_item_id: itemId }),
    },
    /** What notifies the caller. */
    notificationSettings: {
      get: () => get<wire.NotificationSettings>('/api/notification-settings'),
      update: (body: wire.NotificationSettingsPatch) =>
        patch<wire.NotificationSettings>('/api/notification-settings', body),
    },
    /** Pushes to the caller's device while its pages are closed (Web Push). */
    push: {
      /** Returns the `applicationServerKey`, in base64url. */
      getKey: () => get<wire.PublicPushKey>('/api/push/key').then(({ public_key }) => public_key),
      getSubscription: () => get<wire.Subscription>('/api/push/subscription'),
      subscribe: (body: wire.NewSubscription) => put<wire.Subscription>('/api/push/subscription', body),
      unsubscribe: () => remove('/api/push/subscription'),
    },

    /** Programs, such as MCP clients, that ask the caller for a token (OAuth 2.1). */
    oauth: {
      /** Checks what a program asks for, before the user is asked. */
      check: (request: wire.AuthorizationRequest) => post<wire.AuthorizationCheck>('/api/oauth/requests', request),
      /** Lets the program act for the caller. Returns where to send the browser. */
      authorize: (body: wire.NewAuthorization) => post<wire.Redirection>('/api/oauth/authorizations', body),
    },
    /** Endpoints of outgoing webhooks, of the caller and of the caller's bots. */
    webhookEndpoints: {
      list: () => get<wire.WebhookEndpointList>('/api/webhook-endpoints').then(({ items }) => items),
      /** This response and that of `rotateSecret` are the only ones with the secret. */
      create: (body: wire.NewWebhookEndpoint) => post<wire.WebhookEndpointWithSecret>('/api/webhook-endpoints', body),
      update: (id: number, body: wire.WebhookEndpointPatch) =>
        patch<wire.WebhookEndpoint>(`/api/webhook-endpoints/${id}`, body),
      /** The previous secret signs too for a day. */
      rotateSecret: (id: number) => post<wire.WebhookEndpointWithSecret>(`/api/webhook-endpoints/${id}/secret`),
      sendTest: (id: number) => post<wire.WebhookDelivery>(`/api/webhook-endpoints/${id}/test`),
      listDeliveries: (id: number, query: Query<wire.WebhookEndpointsListDeliveriesData> = {}) =>
        get<wire.WebhookDeliveryPage>(`/api/webhook-endpoints/${id}/deliveries`, query),
      /** Get the next page of deliveries, from the `next` of a page. */
      listDeliveriesNext: (id: number, next: string) =>
        get<wire.WebhookDeliveryPage>(`/api/webhook-endpoints/${id}/deliveries?${next}`),
      retry: (id: number, deliveryId: number) =>
        post<wire.WebhookDelivery>(`/api/webhook-endpoints/${id}/deliveries/${deliveryId}/retry`),
      /** Send the events after a cursor again. Repeat with the returned cursor while there are more. */
      replay: (id: number, after: string) => post<wire.WebhookReplay>(`/api/webhook-endpoints/${id}/replay`, { after }),
      delete: (id: number) => remove(`/api/webhook-endpoints/${id}`),
    },
    /** The caller's bridges to other networks. */
    bridges: {
      list: () => get<wire.BridgeList>('/api/bridges').then(({ items }) => items),
      get: (id: number) => get<wire.Bridge>(`/api/bridges/${id}`),
      create: (body: wire.NewBridge) => post<wire.Bridge>('/api/bridges', body),
      update: (id: number, body: wire.BridgePatch) => patch<wire.Bridge>(`/api/bridges/${id}`, body),
      delete: (id: number) => remove(`/api/bridges/${id}`),
      listChats: (id: number, query: Query<wire.BridgesListChatsData> = {}) =>
        get<wire.BridgeChatPage>(`/api/bridges/${id}/chats`, query),
      listChatsNext: (id: number, next: string) => get<wire.BridgeChatPage>(`/api/bridges/${id}/chats?${next}`),
      /** Connect a remote user or a space to a chat, or to a new group. */
      connectChat: (id: number, body: wire.NewBridgeChat) => post<wire.BridgeChat>(`/api/bridges/${id}/chats`, body),
      setPaused: (id: number, bridgeChatId: number, isPaused: boolean) =>
        patch<wire.BridgeChat>(`/api/bridges/${id}/chats/${bridgeChatId}`, { is_paused: isPaused }),
      disconnectChat: (id: number, bridgeChatId: number) => remove(`/api/bridges/${id}/chats/${bridgeChatId}`),
      /** Failed deliveries. */
      listFailures: (id: number, query: Query<wire.BridgesListFailuresData> = {}) =>
        get<wire.FailedDeliveryPage>(`/api/bridges/${id}/failures`, query),
      listFailuresNext: (id: number, next: string) =>
        get<wire.FailedDeliveryPage>(`/api/bridges/${id}/failures?${next}`),
      retry: (id: number, deliveryId: number) => post(`/api/bridges/${id}/failures/${deliveryId}/retry`),
    },
    presence: {
      get: (userId: number) => get<wire.Presence>(`/api/presence/${userId}`),
      /** At most 100 ids; users who share no chat with the caller are omitted. */
      list: (ids: readonly number[]) =>
        get<wire.PresenceList>('/api/presence', { ids: ids.join(',') }).then(({ items }) => items),
      set: (status: wire.Status) => put<wire.Presence>('/api/presence', { status }),
    },
    chats: {
      list: () => get<wire.ChatSummaryList>('/api/chats').then(({ items }) => items),
      get: (id: number) => get<wire.ChatSummary>(`/api/chats/${id}`),
      create: (body: wire.NewChat) => post<wire.Chat>('/api/chats', body),
      update: (id: number, body: wire.ChatPatch) => patch<wire.Chat>(`/api/chats/${id}`, body),
      delete: (id: number) => remove(`/api/chats/${id}`),
      listChannels: (query: Query<wire.ChannelsListData> = {}) => get<wire.ChatPage>('/api/channels', query),
      /** Get the next page of channels, from the `next` of a page. */
      listChannelsNext: (next: string) => get<wire.ChatPage>(`/api/channels?${next}`),
      /** Get a public channel, joined or not. */
      getChannel: (id: number) => get<wire.Chat>(`/api/channels/${id}`),
      join: (id: number) => post<wire.Chat>(`/api/chats/${id}/join`),
      leave: (id: number) => post(`/api/chats/${id}/leave`),
      /** Mute a chat, for good or until an instant in RFC 3339. */
      mute: (id: number, until?: string) =>
        put(`/api/chats/${id}/mute${until ? `?until=${encodeURIComponent(until)}` : ''}`),
      unmute: (id: number) => remove(`/api/chats/${id}/mute`),
      /** Choose which messages of a chat notify the caller; null for the level of its type. */
      setNotificationLevel: (id: number, level: wire.NotificationLevel | null) =>
        put(`/api/chats/${id}/notification-level`, { notification_level: level }),
      /** Get the notification of the unread messages from one on; null if they notify of nothing. */
      getNotification: (id: number, since: number) =>
        get<wire.ChatNotification>(`/api/chats/${id}/notification`, { since }).then(({ notification }) => notification),
      markRead: (id: number, messageId: number) =>
        put<wire.ReadMarker>(`/api/chats/${id}/read`, { message_id: messageId }),
      /** Mark a message and all after it as unread, only for the caller. */
      markUnread: (id: number, messageId: number) => put(`/api/chats/${id}/unread`, { message_id: messageId }),
      markDelivered: (id: number, messageId: number) =>
        put<wire.ReadMarker>(`/api/chats/${id}/delivered`, { message_id: messageId }),
      sendTyping: (id: number) => post(`/api/chats/${id}/typing`),
      listBridges: (id: number) => get<wire.ChatBridgeList>(`/api/chats/${id}/bridges`).then(({ items }) => items),
      sendTemplate: (id: number, body: wire.TemplateMessage) => post<wire.Message>(`/api/chats/${id}/templates`, body),
      listPins: (id: number) => get<wire.MessageList>(`/api/chats/${id}/pins`).then(({ items }) => items),
    },
    members: {
      list: (chatId: number, query: Query<wire.MembersListData> = {}) =>
        get<wire.MemberPage>(`/api/chats/${chatId}/members`, query),
      add: (chatId: number, body: wire.NewMember) => post<wire.Member>(`/api/chats/${chatId}/members`, body),
      setRole: (chatId: number, userId: number, role: wire.Role) =>
        patch<wire.Member>(`/api/chats/${chatId}/members/${userId}`, { role }),
      remove: (chatId: number, userId: number) => remove(`/api/chats/${chatId}/members/${userId}`),
      transferOwnership: (chatId: number, userId: number) => post(`/api/chats/${chatId}/transfer`, { user_id: userId }),
      listBans: (chatId: number, query: Query<wire.BansListData> = {}) =>
        get<wire.BanPage>(`/api/chats/${chatId}/bans`, query),
      ban: (chatId: number, userId: number, reason?: string) =>
        put(`/api/chats/${chatId}/bans/${userId}`, reason === undefined ? {} : { reason }),
      unban: (chatId: number, userId: number) => remove(`/api/chats/${chatId}/bans/${userId}`),
    },
    invites: {
      create: (chatId: number, body: wire.NewInvite = {}) => post<wire.Invite>(`/api/chats/${chatId}/invites`, body),
      list: (chatId: number) => get<wire.InviteList>(`/api/chats/${chatId}/invites`).then(({ items }) => items),
      revoke: (chatId: number, code: string) => remove(`/api/chats/${chatId}/invites/${code}`),
      /** Sends an invitation by mail. */
      send: (chatId: number, email: string) => post(`/api/chats/${chatId}/invitations`, { email }),
      preview: (code: string) => get<wire.InvitePreview>(`/api/invites/${code}`),
      /** Returns who invites where, without an account. */
      summarize: (code: string) => get<wire.InviteSummary>(`/api/invites/${code}/summary`),
      accept: (code: string) => post<wire.Chat>(`/api/invites/${code}`),
    },
    /** Incoming webhooks of a chat. */
    webhooks: {
      list: (chatId: number) => get<wire.WebhookList>(`/api/chats/${chatId}/webhooks`).then(({ items }) => items),
      /** This response and that of `renew` are the only ones with the URL. */
      create: (chatId: number, body: wire.NewWebhook) =>
        post<wire.WebhookWithUrl>(`/api/chats/${chatId}/webhooks`, body),
      update: (chatId: number, id: number, body: wire.WebhookPatch) =>
        patch<wire.Webhook>(`/api/chats/${chatId}/webhooks/${id}`, body),
      renew: (chatId: number, id: number) => post<wire.WebhookWithUrl>(`/api/chats/${chatId}/webhooks/${id}/token`),
      delete: (chatId: number, id: number) => remove(`/api/chats/${chatId}/webhooks/${id}`),
    },
    /** The messages that the user has saved for later. */
    savedMessages: {
      list: () => get<wire.SavedMessagePage>('/api/saved-messages'),
      listNext: (next: string) => get<wire.SavedMessagePage>(`/api/saved-messages?${next}`),
      save: (messageId: number) => put(`/api/messages/${messageId}/saved`),
      remove: (messageId: number) => remove(`/api/messages/${messageId}/saved`),
    },
    messages: {
      list: (chatId: number, query: HistoryQuery = {}) => get<wire.MessagePage>(`/api/chats/${chatId}/messages`, query),
      get: (id: number) => get<wire.Message>(`/api/messages/${id}`),
      edit: (id: number, content: string) => patch<wire.Message>(`/api/messages/${id}`, { content }),
      delete: (id: number) => remove(`/api/messages/${id}`),
      listRevisions: (id: number) =>
        get<wire.MessageRevisionList>(`/api/messages/${id}/edits`).then(({ items }) => items),
      listReplies: (id: number, query: Query<wire.MessagesListRepliesData> = {}) =>
        get<wire.MessagePage>(`/api/messages/${id}/replies`, query),
      listReceipts: (id: number, query: Query<wire.MessagesListReceiptsData> = {}) =>
        get<wire.ReceiptPage>(`/api/messages/${id}/receipts`, query),
      react: (id: number, emoji: string) => put(`/api/messages/${id}/reactions/${encodeEmoji(emoji)}`),
      unreact: (id: number, emoji: string) => remove(`/api/messages/${id}/reactions/${encodeEmoji(emoji)}`),
      /** List the users who reacted to a message with an emoji. */
      listReactingUsers: (id: number, emoji: string, query: Query<wire.MessagesListReactingUsersData> = {}) =>
        get<wire.UserPage>(`/api/messages/${id}/reactions/${encodeEmoji(emoji)}`, query),
      pin: (id: number) => put(`/api/messages/${id}/pin`),
      unpin: (id: number) => remove(`/api/messages/${id}/pin`),
    },
    /** For operators of the server only. */
    operator: {
      listUsers: (query: Query<wire.OperatorListUsersData> = {}) =>
        get<wire.UserAccountPage>('/api/operator/users', query),
      /** Get the next page of users, from the `next` of a page. */
      listUsersNext: (next: string) => get<wire.UserAccountPage>(`/api/operator/users?${next}`),
      /** The channels that new users join. */
      listDefaultChannels: () => get<wire.ChatList>('/api/operator/default-channels').then(({ items }) => items),
      addDefaultChannel: (chatId: number) => put(`/api/operator/default-channels/${chatId}`),
      removeDefaultChannel: (chatId: number) => remove(`/api/operator/default-channels/${chatId}`),
      approve: (userId: number) => put(`/api/operator/users/${userId}/approval`),
      reject: (userId: number) => remove(`/api/operator/users/${userId}/approval`),
      suspend: (userId: number, reason: string) => put(`/api/operator/users/${userId}/suspension`, { reason }),
      endSuspension: (userId: number) => remove(`/api/operator/users/${userId}/suspension`),
      endSessions: (userId: number) => remove(`/api/operator/users/${userId}/sessions`),
      removeProfile: (userId: number) => remove(`/api/operator/users/${userId}/profile`),
      removeMessage: (id: number) => remove(`/api/operator/messages/${id}`),
      removeChat: (id: number) => remove(`/api/operator/chats/${id}`),
      listAudit: (query: Query<wire.OperatorListAuditData> = {}) =>
        get<wire.AuditEntryPage>('/api/operator/audit', query),
      /** Get the next page of the audit log, from the `next` of a page. */
      listAuditNext: (next: string) => get<wire.AuditEntryPage>(`/api/operator/audit?${next}`),
    },
    files: {
      /** Get the bytes at a `url`, `thumbnail_url` or `avatar_url`. Files are private: show them as `blob:` URLs. */
      get: (url: string, signal?: AbortSignal) => getBlob(url, signal),
    },
    search: (query: SearchQuery) => get<wire.MessagePage>('/api/search', query),
    /** Get the next page, from the `next` of a page. */
    searchNext: (next: string) => get<wire.MessagePage>(`/api/search?${next}`),
  };
}

/** The HTTP API, grouped by resource. */
export type Api = ReturnType<typeof createApi>;
