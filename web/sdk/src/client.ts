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

/** The connection handles these itself; they are not emitted under their types. */
type ControlType = 'ready' | 'caught_up' | 'reset';

type EventsByType = { [Type in Exclude<Event['type'], ControlType>]: EventOf<Type> };

/** Everything that a client tells: each event under its type, and all of them under `*`. */
export interface ClientEvents extends EventsByType {
  '*': Event;
  state: StateChange;
  /** What was missed cannot be told: fetch the first screen again. */
  reset: { readonly reason: string; readonly cursor: string };
  error: { readonly text: string; readonly error: unknown };
  pending: OutboxEvents['pending'];
  sent: OutboxEvents['sent'];
  dropped: OutboxEvents['dropped'];
}

/** What a client is made of. */
export interface ChatClientOptions {
  /** As in `https://chat.example`; the page's own origin without. */
  readonly baseUrl?: string;
  /** Answers with an access token; asked again with `expired` when the last one was refused. */
  readonly getToken: GetToken;
  /**
   * `auto` is Server-Sent Events, but a WebSocket on a page that cannot share one
   * stream among its tabs, as without TLS: of streams a browser allows six to a server.
   */
  readonly transport?: 'auto' | 'sse' | 'eventsource' | 'websocket' | Transport;
  /**
   * One stream for all tabs of a browser. `auto` shares where there are pages, locks
   * and channels between them; a browser allows six streams to a server.
   */
  readonly shareConnection?: 'auto' | false | Locks;
  /** Where there is none in the platform. */
  readonly WebSocket?: WebSocketConstructor;
  /** Where there is none in the platform. */
  readonly EventSource?: EventSourceConstructor;
  readonly fetch?: typeof fetch;
  /** Where messages on their way outlive the page. */
  readonly storage?: Storage;
  /** Tells one person from another where several are signed in to one origin. */
  readonly userId?: string;
}

/** Talks to Confab, listens, and misses nothing. */
export class ChatClient extends Emitter<ClientEvents> {
  /** Every question and every change, by noun. */
  readonly api: Api;
  readonly messages: Api['messages'] & {
    /** Sends, and goes on trying until the server has it, once. */
    send(chatId: number, draft: NewMessage): Promise<Message>;
    /** What is on its way. */
    listPending(chatId?: number): PendingMessage[];
    retry(nonce: string): void;
    drop(nonce: string): void;
  };
  readonly uploads: {
    /** Uploads a file, which is private until a message shows it. */
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
    this.uploads = { start: (file, uploadOptions) => uploadFile(baseUrl, getToken, file, uploadOptions) };
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

  /** Whether this is the one of several tabs that has the stream. */
  get isLeader(): boolean {
    return !(this.#connection instanceof SharedConnection) || this.#connection.isLeader;
  }

  /** The position after the last event. */
  get cursor(): string | null {
    return this.#connection.cursor;
  }

  /** Opens the stream, from the cursor of a first screen if there is one; resolves once it is live. */
  connect(cursor?: string | null): Promise<void> {
    const connected = new Promise<void>((resolve, reject) => {
      const unsubscribe = this.on('state', ({ to }) => {
        if (to === 'live') resolve();
        else if (to === 'unauthorized') reject(new Error('nobody is signed in'));
        else if (to === 'closed') reject(new Error('the client was closed'));
        else return;
        unsubscribe();
      });
      if (this.state === 'live') {
        resolve();
        unsubscribe();
      }
    });
    this.#connection.open(cursor ?? this.#connection.cursor);
    this.#outbox.flush();
    return connected;
  }

  /** Drops the connection, which comes back at once. */
  reconnect(): void {
    this.#connection.reconnect();
  }

  /** Ends the stream. Messages on their way are kept. */
  close(): void {
    this.#connection.close();
    this.#outbox.close();
  }
}

/** A client. */
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
    if (!Source) throw new TypeError('this platform has no EventSource: give one');
    return createEventSourceTransport(Source, fetcher);
  }
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  if (!Socket) throw new TypeError('this platform has no WebSocket: give one');
  return createWebSocketTransport(Socket);
}
