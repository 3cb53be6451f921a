import { type FileInfo, type Message, type PendingMessage, uniqueId } from '@confab/sdk';
import { useStore } from 'zustand';
import { createStore, type StoreApi } from 'zustand/vanilla';
import { getErrorMessage } from '../locales/errorMessage';
import { deviceStorage, tabStorage } from '../storage';
import type { ChatStore } from '../store/chatStore';
import { useChatStore } from '../store/hooks';

/** A file that is uploading or uploaded. */
export interface Upload {
  readonly key: string;
  readonly file: File;
  /** A local preview of an image. */
  readonly preview: string | null;
  /** 0 to 1. */
  readonly progress: number;
  readonly info: FileInfo | null;
  readonly failure: string | null;
  readonly abort: AbortController;
}

/** The draft of a chat. It is kept when the user switches chats; its text and its reply are kept across reloads. */
export interface Draft {
  readonly text: string;
  readonly replyTo: Message | null;
  /** The message to reply to, while it is loaded after the page was loaded again. */
  readonly restoredReplyId: number | null;
  readonly uploads: readonly Upload[];
  /** The ids of files that were uploaded for a failed message. They are attached to this message. */
  readonly keptFileIds: readonly number[];
  /** Whether the message is sent as soon as its uploads finish. */
  readonly isSendQueued: boolean;
  /** The message being edited. */
  readonly edit: { readonly message: Message; readonly text: string } | null;
}

type DraftMap = ReadonlyMap<number, Draft>;

const draftStores = new WeakMap<ChatStore, StoreApi<DraftMap>>();

function getDraftStore(chatStore: ChatStore): StoreApi<DraftMap> {
  const known = draftStores.get(chatStore);
  if (known) return known;
  const store = createStore<DraftMap>(() => new Map());
  draftStores.set(chatStore, store);
  return store;
}

const getStorageKey = (chatStore: ChatStore, chatId: number) => `confab.draft.${chatStore.account.id}.${chatId}`;

/** The draft text of a chat in this tab, or else the text last written in any tab. */
export function loadDraftText(chatStore: ChatStore, chatId: number): string {
  const key = getStorageKey(chatStore, chatId);
  return tabStorage.getItem(key) ?? deviceStorage.getItem(key) ?? '';
}

function saveDraftText(chatStore: ChatStore, chatId: number, text: string, before: string): void {
  const key = getStorageKey(chatStore, chatId);
  tabStorage.setItem(key, text);
  if (text) deviceStorage.setItem(key, text);
  // Keep the text that another tab has written.
  else if (deviceStorage.getItem(key) === before) deviceStorage.removeItem(key);
}

const getReplyKey = (chatStore: ChatStore, chatId: number) => `confab.reply.${chatStore.account.id}.${chatId}`;

/** Stores which message the draft of this tab replies to. */
function saveReply(chatStore: ChatStore, chatId: number, replyTo: Message | null): void {
  const key = getReplyKey(chatStore, chatId);
  if (replyTo) tabStorage.setItem(key, String(replyTo.id));
  else tabStorage.removeItem(key);
}

function getDraft(chatStore: ChatStore, drafts: DraftMap, chatId: number): Draft {
  const known = drafts.get(chatId);
  if (known) return known;
  const fresh: Draft = {
    text: loadDraftText(chatStore, chatId),
    replyTo: null,
    restoredReplyId: null,
    uploads: [],
    keptFileIds: [],
    isSendQueued: false,
    edit: null,
  };
  // Mutate without a notification: creating an empty draft changes nothing on the screen.
  (drafts as Map<number, Draft>).set(chatId, fresh);
  void restoreReply(new DraftHandle(chatStore, chatId));
  return fresh;
}

/** Loads the message to which a draft replied before the page was loaded again. */
async function restoreReply(draft: DraftHandle): Promise<void> {
  const id = Number(tabStorage.getItem(getReplyKey(draft.chatStore, draft.chatId)));
  if (!id) return;
  draft.update({ restoredReplyId: id });
  const replyTo = await draft.chatStore.loadQuotedMessage(id).catch(() => null);
  // The message may have been sent meanwhile, or the user has chosen another one.
  if (draft.current.restoredReplyId !== id) return;
  draft.update({ restoredReplyId: null, replyTo: replyTo?.deleted_at === null ? replyTo : null });
}

/** The operations on the draft of a chat. */
export class DraftHandle {
  constructor(
    readonly chatStore: ChatStore,
    readonly chatId: number,
  ) {}

  get current(): Draft {
    return getDraft(this.chatStore, getDraftStore(this.chatStore).getState(), this.chatId);
  }

  update(changes: Partial<Draft>): void {
    const before = this.current;
    const next = { ...before, ...changes };
    getDraftStore(this.chatStore).setState((drafts) => new Map(drafts).set(this.chatId, next), true);
    if (changes.replyTo !== undefined) saveReply(this.chatStore, this.chatId, changes.replyTo);
    if (changes.text !== undefined) saveDraftText(this.chatStore, this.chatId, changes.text, before.text);
  }

  /** Takes over the text, the files and the reply of a message that failed. */
  async restore({ draft, nonce }: PendingMessage): Promise<void> {
    const { client, state } = this.chatStore;
    const replyToId = draft.reply_to ?? null;
    const loaded = state?.timelines.get(this.chatId)?.messages.find(({ id }) => id === replyToId);
    const replyTo = replyToId === null ? null : (loaded ?? (await client.api.messages.get(replyToId)));
    this.update({
      text: [this.current.text, draft.content].filter(Boolean).join('\n'),
      keptFileIds: [...this.current.keptFileIds, ...(draft.files ?? [])],
      replyTo: replyTo ?? this.current.replyTo,
    });
    client.messages.drop(nonce);
  }

  /** Attaches files and starts their uploads. */
  addFiles(files: readonly File[]): void {
    for (const file of files) {
      const preview = file.type.startsWith('image/') ? URL.createObjectURL(file) : null;
      const upload = {
        key: uniqueId(),
        file,
        preview,
        progress: 0,
        info: null,
        failure: null,
        abort: new AbortController(),
      };
      this.update({ uploads: [...this.current.uploads, upload] });
      void this.#startUpload(upload);
    }
  }

  retryUpload(upload: Upload): void {
    const fresh = { ...upload, failure: null, progress: 0, abort: new AbortController() };
    this.#patchUpload(upload.key, fresh);
    void this.#startUpload(fresh);
  }

  removeUpload(upload: Upload): void {
    upload.abort.abort();
    if (upload.preview) URL.revokeObjectURL(upload.preview);
    this.update({ uploads: this.current.uploads.filter(({ key }) => key !== upload.key) });
    this.#sendIfReady();
  }

  /** Sends the draft, or queues it until its uploads finish. Returns whether there was anything to send. */
  send(): boolean {
    const { text, uploads, keptFileIds, replyTo, restoredReplyId } = this.current;
    const replyId = replyTo?.id ?? restoredReplyId;
    if (text.trim() === '' && uploads.length === 0 && keptFileIds.length === 0) return false;
    if (uploads.some(({ info }) => info === null)) {
      this.update({ isSendQueued: true });
      return true;
    }
    const files = [...keptFileIds, ...uploads.flatMap(({ info }) => (info ? [info.id] : []))];
    this.chatStore.sendMessage(this.chatId, {
      content: text.trim(),
      ...(files.length > 0 && { files }),
      ...(replyId !== null && { reply_to: replyId }),
    });
    for (const { preview } of uploads) if (preview) URL.revokeObjectURL(preview);
    this.update({
      text: '',
      uploads: [],
      keptFileIds: [],
      replyTo: null,
      restoredReplyId: null,
      isSendQueued: false,
    });
    return true;
  }

  #sendIfReady(): void {
    const { isSendQueued, uploads } = this.current;
    if (isSendQueued && uploads.every(({ info }) => info !== null)) {
      this.update({ isSendQueued: false });
      this.send();
    }
  }

  #patchUpload(key: string, changes: Partial<Upload>): void {
    this.update({ uploads: this.current.uploads.map((one) => (one.key === key ? { ...one, ...changes } : one)) });
  }

  async #startUpload({ key, file, abort }: Upload): Promise<void> {
    try {
      const info = await this.chatStore.client.uploads.start(file, {
        signal: abort.signal,
        onProgress: ({ sent, total }) => this.#patchUpload(key, { progress: total > 0 ? sent / total : 0 }),
      });
      this.#patchUpload(key, { info, progress: 1 });
      this.#sendIfReady();
    } catch (error) {
      this.#patchUpload(key, { failure: getErrorMessage(error) });
    }
  }
}

/** Subscribes to the draft of a chat. */
export function useDraft(chatId: number): Draft {
  const chatStore = useChatStore();
  return useStore(getDraftStore(chatStore), (drafts) => getDraft(chatStore, drafts, chatId));
}
