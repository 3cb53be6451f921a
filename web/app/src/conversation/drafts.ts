import { type FileInfo, type Message, uniqueId } from '@confab/sdk';
import { useStore } from 'zustand';
import { createStore, type StoreApi } from 'zustand/vanilla';
import { getErrorMessage } from '../locales/errorMessage';
import { deviceStorage, tabStorage } from '../storage';
import type { ChatStore } from '../store/chatStore';
import { useChatStore } from '../store/hooks';

/** A file on its way, or there. */
export interface Upload {
  readonly key: string;
  readonly file: File;
  /** A picture of it, before anybody else has it. */
  readonly preview: string | null;
  /** 0 to 1. */
  readonly progress: number;
  readonly info: FileInfo | null;
  readonly failure: string | null;
  readonly abort: AbortController;
}

/** What is being written in a chat. It stays while other chats are looked at; its text outlives the page. */
export interface Draft {
  readonly text: string;
  readonly replyTo: Message | null;
  readonly uploads: readonly Upload[];
  /** Whether it goes as soon as its files are there. */
  readonly isSendQueued: boolean;
  /** A message that is being written anew. */
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

/** The text that waits in a chat: this tab's, or what was written last in any. */
export function loadDraftText(chatStore: ChatStore, chatId: number): string {
  const key = getStorageKey(chatStore, chatId);
  return tabStorage.getItem(key) ?? deviceStorage.getItem(key) ?? '';
}

function saveDraftText(chatStore: ChatStore, chatId: number, text: string, before: string): void {
  const key = getStorageKey(chatStore, chatId);
  tabStorage.setItem(key, text);
  if (text) deviceStorage.setItem(key, text);
  // What another tab has written there stays.
  else if (deviceStorage.getItem(key) === before) deviceStorage.removeItem(key);
}

function getDraft(chatStore: ChatStore, drafts: DraftMap, chatId: number): Draft {
  const known = drafts.get(chatId);
  if (known) return known;
  const fresh: Draft = {
    text: loadDraftText(chatStore, chatId),
    replyTo: null,
    uploads: [],
    isSendQueued: false,
    edit: null,
  };
  // Not a change: it was so before anybody asked.
  (drafts as Map<number, Draft>).set(chatId, fresh);
  return fresh;
}

/** What can be done with what is being written in a chat. */
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
    if (changes.text !== undefined) saveDraftText(this.chatStore, this.chatId, changes.text, before.text);
  }

  /** Begins to upload files that go with it. */
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

  /** Sends it, or does so once its files are there. Answers whether there was anything to send. */
  send(): boolean {
    const { text, uploads, replyTo } = this.current;
    if (text.trim() === '' && uploads.length === 0) return false;
    if (uploads.some(({ info }) => info === null)) {
      this.update({ isSendQueued: true });
      return true;
    }
    const files = uploads.flatMap(({ info }) => (info ? [info.id] : []));
    this.chatStore.sendMessage(this.chatId, {
      content: text.trim(),
      ...(files.length > 0 && { files }),
      ...(replyTo && { reply_to: replyTo.id }),
    });
    for (const { preview } of uploads) if (preview) URL.revokeObjectURL(preview);
    this.update({ text: '', uploads: [], replyTo: null, isSendQueued: false });
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

/** What is being written in a chat, followed as it changes. */
export function useDraft(chatId: number): Draft {
  const chatStore = useChatStore();
  return useStore(getDraftStore(chatStore), (drafts) => getDraft(chatStore, drafts, chatId));
}
