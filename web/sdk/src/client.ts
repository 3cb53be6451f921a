import { type Api, createApi } from './api.js';
import { Connection, type ConnectionState, type StateChange } from './connection.js';
import { Emitter } from './emitter.js';
import { type EventSourceClass, eventSource } from './event-source.js';
import { createHttp, type GetToken } from './http.js';
import { Outbox, type OutboxEvents, type Pending } from './outbox.js';
import { SharedConnection } from './shared.js';
import { type SocketClass, webSocket } from './socket.js';
import { sse } from './sse.js';
import { defaultStorage, type Storage } from './storage.js';
import type { Transport } from './transport.js';
import type { Locks } from './turn.js';
import { type UploadOptions, upload } from './uploads.js';
import type { Event, FileInfo, Message, NewMessage } from './wire/types.gen.js';

/** An event of one type. */
export type EventOf<Type extends Event['type']> = Extract<Event, { type: Type }>;

type ByType = { [Type in Event['type']]: EventOf<Type> };

/** Everything that a client tells: each event under its type, and all of them under `*`. */
export interface ClientEvents extends ByType {
  '*': Event;
  state: StateChange;
  /** What was missed cannot be told: fetch the first screen again. */
  resync: { readonly reason: string; readonly cursor: string };
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
  readonly WebSocket?: SocketClass;
  /** Where there is none in the platform. */
  readonly EventSource?: EventSourceClass;
  readonly fetch?: typeof fetch;
  /** Where messages on their way outlive the page. */
  readonly storage?: Storage;
  /** Tells one person from another where several are signed in to one origin. */
  readonly person?: string;
}

/** Talks to Confab, listens, and misses nothing. */
export class ChatClient extends Emitter<ClientEvents> {
  /** Every question and every change, by noun. */
  readonly api: Api;
  readonly messages: Api['messages'] & {
    /** Sends, and goes on trying until the server has it, once. */
    send(chatId: number, draft: NewMessage): Promise<Message>;
    /** What is on its way. */
    pending(chatId?: number): Pending[];
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
    const person = options.person === undefined ? '' : `.${options.person}`;
    const baseUrl = (options.baseUrl ?? globalThis.location?.origin ?? '').replace(/\/$/, '');
    const fetcher = options.fetch ?? ((...asked) => fetch(...asked));
    const http = createHttp(baseUrl, getToken, fetcher);
    this.api = createApi(http);
    const outbox = new Outbox(http, storage, `confab.outbox${person}`);
    this.#outbox = outbox;
    this.messages = {
      ...this.api.messages,
      send: (chatId, draft) => outbox.send(chatId, draft),
      pending: (chatId) => outbox.list(chatId),
      retry: (nonce) => outbox.retry(nonce),
      drop: (nonce) => outbox.drop(nonce),
    };
    this.uploads = { start: (file, asked) => upload(baseUrl, getToken, file, asked) };
    const locks = locksOf(options);
    const line = { baseUrl, getToken, transport: transportOf(options, fetcher, locks !== null) };
    const eventsAfter = (cursor: string) => this.api.events.after(cursor, 100);
    this.#connection = locks
      ? new SharedConnection({ ...line, name: `confab.stream${person}`, locks, eventsAfter })
      : new Connection(line);
    this.#connection.on('event', (event) => {
      (this.emit as (name: string, event: Event) => void).call(this, event.type, event);
      this.emit('*', event);
    });
    this.#connection.on('state', (change) => {
      if (change.to === 'live') outbox.flush();
      this.emit('state', change);
    });
    this.#connection.on('resync', (asked) => this.emit('resync', asked));
    this.#connection.on('error', (error) => this.emit('error', error));
    for (const name of ['pending', 'sent', 'dropped'] as const) {
      outbox.on(name, (event) => (this.emit as (name: string, event: unknown) => void).call(this, name, event));
    }
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Whether this is the one of several tabs that has the stream. */
  get leads(): boolean {
    return !(this.#connection instanceof SharedConnection) || this.#connection.leads;
  }

  /** The position after the last event. */
  get cursor(): string | null {
    return this.#connection.cursor;
  }

  /** Opens the stream, from the cursor of a first screen if there is one; resolves once it is live. */
  connect(cursor?: string | null): Promise<void> {
    const live = new Promise<void>((resolve, reject) => {
      const stop = this.on('state', ({ to }) => {
        if (to === 'live') resolve();
        else if (to === 'unauthorized') reject(new Error('nobody is signed in'));
        else if (to === 'closed') reject(new Error('the client was closed'));
        else return;
        stop();
      });
      if (this.state === 'live') {
        resolve();
        stop();
      }
    });
    this.#connection.open(cursor ?? this.#connection.cursor);
    this.#outbox.flush();
    return live;
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

function locksOf({ shareConnection = 'auto' }: ChatClientOptions): Locks | null {
  if (shareConnection === false) return null;
  if (shareConnection !== 'auto') return shareConnection;
  const isPage = typeof document !== 'undefined' && typeof BroadcastChannel !== 'undefined';
  return isPage ? (globalThis.navigator?.locks ?? null) : null;
}

function transportOf(options: ChatClientOptions, fetcher: typeof fetch, isShared: boolean): Transport {
  const { transport = 'auto' } = options;
  if (typeof transport === 'function') return transport;
  const isLonePage = typeof document !== 'undefined' && !isShared && globalThis.WebSocket !== undefined;
  if (transport === 'sse' || (transport === 'auto' && !isLonePage)) return sse(fetcher);
  if (transport === 'eventsource') {
    const Source = options.EventSource ?? globalThis.EventSource;
    if (!Source) throw new TypeError('this platform has no EventSource: give one');
    return eventSource(Source, fetcher);
  }
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  if (!Socket) throw new TypeError('this platform has no WebSocket: give one');
  return webSocket(Socket);
}
