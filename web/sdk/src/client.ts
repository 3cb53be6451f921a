import { type Api, createApi } from './api.js';
import { Connection, type ConnectionState, type StateChange } from './connection.js';
import { Emitter } from './emitter.js';
import { createEventSourceTransport, type EventSourceConstructor } from './eventSourceTransport.js';
import { createHttpClient, type GetToken } from './http.js';
import type { Locks } from './leaderElection.js';
import { Outbox, type OutboxEvents, type PendingMessage } from './outbox.js';
import { SharedConnection } from './sharedConnection.js';
import { createSseTransport } from './sseTransport.js';
import { defaultStorage, type Storage } from './storage.js';
import type { Transport } from './transport.js';
import { type UploadOptions, uploadFile } from './uploads.js';
import { createWebSocketTransport, type WebSocketConstructor } from './webSocketTransport.js';
import type { Event, FileInfo, Message, NewMessage } from './wire/types.gen.js';

/** An event of one type. */
export type EventOf<Type extends Event['type']> = Extract<Event, { type: Type }>;

/** The connection handles these events itself; they are not emitted by type. */
type ControlType = 'ready' | 'caught_up' | 'reset';

type EventsByType = { [Type in Exclude<Event['type'], ControlType>]: EventOf<Type> };

/** The events of a client: each server event by its type, and all of them as `*`. */
export interface ClientEvents extends EventsByType {
  '*': Event;
  state: StateChange;
  /** Missed events cannot be replayed: fetch the bootstrap again. */
  reset: { readonly reason: string; readonly cursor: string };
  error: { readonly text: string; readonly error: unknown };
  pending: OutboxEvents['pending'];
  sent: OutboxEvents['sent'];
  dropped: OutboxEvents['dropped'];
}

/** The options of a client. */
export interface ChatClientOptions {
  /** As in `https://chat.example`; default: the page's origin. */
  readonly baseUrl?: string;
  /** Returns an access token. Called with `expired` when the server has rejected the last one. */
  readonly getToken: GetToken;
  /**
   * `auto` is Server-Sent Events, or a WebSocket on a page that cannot share a connection
   * among its tabs (without TLS). Browsers allow six connections per server.
   */
  readonly transport?: 'auto' | 'sse' | 'eventsource' | 'websocket' | Transport;
  /**
   * One connection for all tabs of a browser. `auto` shares it in pages that have Web Locks
   * and `BroadcastChannel`. Browsers allow six connections per server.
   */
  readonly shareConnection?: 'auto' | false | Locks;
  /** An implementation for platforms without `WebSocket`. */
  readonly WebSocket?: WebSocketConstructor;
  /** An implementation for platforms without `EventSource`. */
  readonly EventSource?: EventSourceConstructor;
  readonly fetch?: typeof fetch;
  /** Stores pending messages across reloads. */
  readonly storage?: Storage;
  /** Separates the users signed in to one origin. */
  readonly userId?: string;
}

/** A client of Confab: requests, events without gaps, and reliable sending. */
export class ChatClient extends Emitter<ClientEvents> {
  /** The HTTP API, grouped by resource. */
  readonly api: Api;
  readonly messages: Api['messages'] & {
    /** Sends a message and retries until the server has stored it exactly once. */
    send(chatId: number, draft: NewMessage): Promise<Message>;
    /** Lists the messages that are not sent yet. */
    listPending(chatId?: number): PendingMessage[];
    retry(nonce: string): void;
    drop(nonce: string): void;
  };
  readonly uploads: {
    /** Uploads a file. It is private until it is attached to a message. */
    start(file: Blob & { readonly name?: string }, options?: UploadOptions): Promise<FileInfo>;
  };
  readonly #connection: Connection | SharedConnection;
  readonly #outbox: Outbox;

  constructor(options: ChatClientOptions) {
    super();
    const { getToken, storage = defaultStorage() } = options;
    const keySuffix = options.userId === undefined ? '' : `.${options.userId}`;
    const baseUrl = (options.baseUrl ?? globalThis.location?.origin ?? '').replace(/\/$/, '');
    const fetcher = options.fetch ?? ((...args) => fetch(...args));
    const http = createHttpClient(baseUrl, getToken, fetcher);
    this.api = createApi(http);
    const outbox = new Outbox(http, storage, `confab.outbox${keySuffix}`);
    this.#outbox = outbox;
    this.messages = {
      ...this.api.messages,
      send: (chatId, draft) => outbox.send(chatId, draft),
      listPending: (chatId) => outbox.list(chatId),
      retry: (nonce) => outbox.retry(nonce),
      drop: (nonce) => outbox.drop(nonce),
    };
    this.uploads = {
      start: (file, uploadOptions) => uploadFile({ baseUrl, getToken, fetch: options.fetch }, file, uploadOptions),
    };
    const locks = resolveLocks(options);
    const connectionOptions = { baseUrl, getToken, transport: resolveTransport(options, fetcher, locks !== null) };
    const fetchEventsAfter = (cursor: string) => this.api.events.listAfter(cursor, 100);
    this.#connection = locks
      ? new SharedConnection({ ...connectionOptions, name: `confab.stream${keySuffix}`, locks, fetchEventsAfter })
      : new Connection(connectionOptions);
    this.#connection.on('event', (event) => {
      (this.emit as (name: string, event: Event) => void).call(this, event.type, event);
      this.emit('*', event);
    });
    this.#connection.on('state', (change) => {
      if (change.to === 'live') outbox.flush();
      this.emit('state', change);
    });
    this.#connection.on('reset', (event) => this.emit('reset', event));
    this.#connection.on('error', (error) => this.emit('error', error));
    for (const name of ['pending', 'sent', 'dropped'] as const) {
      outbox.on(name, (event) => (this.emit as (name: string, event: unknown) => void).call(this, name, event));
    }
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Whether this tab owns the connection. */
  get isLeader(): boolean {
    return !(this.#connection instanceof SharedConnection) || this.#connection.isLeader;
  }

  /** The position after the last event. */
  get cursor(): string | null {
    return this.#connection.cursor;
  }

  /** Opens the stream, from the bootstrap's cursor if given. Resolves once the stream is live. */
  connect(cursor?: string | null): Promise<void> {
    const connected = new Promise<void>((resolve, reject) => {
      const unsubscribe = this.on('state', ({ to }) => {
        if (to === 'live') resolve();
        else if (to === 'unauthorized') reject(new Error('not signed in'));
        else if (to === 'closed') reject(new Error('the client was closed'));
        else return;
        unsubscribe();
      });
      if (this.state === 'live') {
        resolve();
        unsubscribe();
      }
    });
    // Callers that do not await the promise watch the state instead.
    connected.catch(() => {});
    this.#connection.open(cursor ?? this.#connection.cursor);
    this.#outbox.flush();
    return connected;
  }

  /** Drops the connection and reconnects immediately. */
  reconnect(): void {
    this.#connection.reconnect();
  }

  /** Closes the connection. Pending messages are kept. */
  close(): void {
    this.#connection.close();
    this.#outbox.close();
  }
}

/** Creates a client. */
export function createChatClient(options: ChatClientOptions): ChatClient {
  return new ChatClient(options);
}

function resolveLocks({ shareConnection = 'auto' }: ChatClientOptions): Locks | null {
  if (shareConnection === false) return null;
  if (shareConnection !== 'auto') return shareConnection;
  const isPage = typeof document !== 'undefined' && typeof BroadcastChannel !== 'undefined';
  return isPage ? (globalThis.navigator?.locks ?? null) : null;
}

function resolveTransport(options: ChatClientOptions, fetcher: typeof fetch, isShared: boolean): Transport {
  const { transport = 'auto' } = options;
  if (typeof transport === 'function') return transport;
  const isUnsharedPage = typeof document !== 'undefined' && !isShared && globalThis.WebSocket !== undefined;
  if (transport === 'sse' || (transport === 'auto' && !isUnsharedPage)) return createSseTransport(fetcher);
  if (transport === 'eventsource') {
    const Source = options.EventSource ?? globalThis.EventSource;
    if (!Source) throw new TypeError('this platform has no EventSource; pass one in the options');
    return createEventSourceTransport(Source, fetcher);
  }
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  if (!Socket) throw new TypeError('this platform has no WebSocket; pass one in the options');
  return createWebSocketTransport(Socket);
}
