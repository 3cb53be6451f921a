/** The client of Confab: talks, listens, and misses nothing. */

export type { Api, HistoryQuery, SearchQuery } from './api.js';
export { ChatClient, type ChatClientOptions, type ClientEvents, createChatClient, type EventOf } from './client.js';
export type { ConnectionState, StateChange } from './connection.js';
export { ApiError, isPassing, NetworkError } from './errors.js';
export type { GetToken, TokenReason } from './http.js';
export { uniqueId } from './ids.js';
export type { Pending } from './outbox.js';
export { Session, type SessionEvents, type SessionOptions } from './session.js';
export { defaultStorage, keeping, memoryStorage, type Storage } from './storage.js';
export { StreamRefused, type StreamRequest, type Transport } from './transport.js';
export type { LockOptions, Locks } from './turn.js';
export type { UploadOptions, UploadProgress } from './uploads.js';
export type * from './wire/types.gen.js';
export type { Session as SessionInfo } from './wire/types.gen.js';
