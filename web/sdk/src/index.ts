/** The client SDK of Confab. */

export type { Api, HistoryQuery, SearchQuery } from './api.js';
export { ChatClient, type ChatClientOptions, type ClientEvents, createChatClient, type EventOf } from './client.js';
export type { ConnectionState, StateChange } from './connection.js';
export { ApiError, ApprovalPendingError, isRetryable, NetworkError, VerificationPendingError } from './errors.js';
export type { GetToken, TokenReason } from './http.js';
export { uniqueId } from './ids.js';
export type { LockOptions, Locks } from './leaderElection.js';
export type { PendingMessage } from './outbox.js';
export { Session, type SessionEvents, type SessionOptions } from './session.js';
export { defaultStorage, memoryStorage, type Storage, withMemoryFallback } from './storage.js';
export { StreamError, type StreamRequest, type Transport } from './transport.js';
export type { UploadOptions, UploadProgress } from './uploads.js';
export type * from './wire/types.gen.js';
export type { Session as SessionInfo } from './wire/types.gen.js';
