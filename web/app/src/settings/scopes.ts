import type { Scope } from '@confab/sdk';

/** The scopes in the order of forms, with the keys of their names. */
export const SCOPE_NAMES = {
  'chats:read': 'integrations.scopeNames.chatsRead',
  'messages:read': 'integrations.scopeNames.messagesRead',
  'search:read': 'integrations.scopeNames.searchRead',
  'users:read': 'integrations.scopeNames.usersRead',
  'events:read': 'integrations.scopeNames.eventsRead',
  'messages:write': 'integrations.scopeNames.messagesWrite',
  'reactions:write': 'integrations.scopeNames.reactionsWrite',
  'receipts:write': 'integrations.scopeNames.receiptsWrite',
  'presence:write': 'integrations.scopeNames.presenceWrite',
  'chats:write': 'integrations.scopeNames.chatsWrite',
} as const satisfies Record<Scope, string>;

export const SCOPES = Object.keys(SCOPE_NAMES) as readonly Scope[];

/** Whether a scope changes nothing. A new token can read unless the user changes it. */
export const isReading = (scope: Scope): boolean => scope.endsWith(':read');
