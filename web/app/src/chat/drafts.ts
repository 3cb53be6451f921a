import { type FileInfo, type Message, uniqueId } from '@confab/sdk';
import { useStore } from 'zustand';
import { createStore, type StoreApi } from 'zustand/vanilla';
import { kept, keptByTab } from '../kept';
import { wordsOf } from '../words/failure';
import type { House } from '../world/house';
import { useHouse } from '../world/use';

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
  readonly isDue: boolean;
  /** A message that is being written anew. */
  readonly edit: { readonly message: Message; readonly text: string } | null;
}

type Drafts = ReadonlyMap<number, Draft>;

const stores = new WeakMap<House, StoreApi<Drafts>>();

function storeOf(house: House): StoreApi<Drafts> {
  const known = stores.get(house);
  if (known) return known;
  const store = createStore<Drafts>(() => new Map());
  stores.set(house, store);
  return store;
}

const keyOf = (house: House, chatId: number) => `confab.draft.${house.account.id}.${chatId}`;

/** The text that waits in a chat: this tab's, or what was written last in any. */
export function draftText(house: House, chatId: number): string {
  const key = keyOf(house, chatId);
  return keptByTab.getItem(key) ?? kept.getItem(key) ?? '';
}

function keepText(house: House, chatId: number, text: string, before: string): void {
  const key = keyOf(house, chatId);
  keptByTab.setItem(key, text);
  if (text) kept.setItem(key, text);
  // What another tab has written there stays.
  else if (kept.getItem(key) === before) kept.removeItem(key);
}

function draftOf(house: House, drafts: Drafts, chatId: number): Draft {
  const known = drafts.get(chatId);
  if (known) return known;
  const fresh: Draft = { text: draftText(house, chatId), replyTo: null, uploads: [], isDue: false, edit: null };
  // Not a change: it was so before anybody asked.
  (drafts as Map<number, Draft>).set(chatId, fresh);
  return fresh;
}

/** What can be done with what is being written in a chat. */
export class DraftHandle {
  constructor(
    readonly house: House,
    readonly chatId: number,
  ) {}

  get now(): Draft {
    return draftOf(this.house, storeOf(this.house).getState(), this.chatId);
  }

  change(change: Partial<Draft>): void {
    const before = this.now;
    const next = { ...before, ...change };
    storeOf(this.house).setState((drafts) => new Map(drafts).set(this.chatId, next), true);
    if (change.text !== undefined) keepText(this.house, this.chatId, change.text, before.text);
  }

  /** Begins to upload files that go with it. */
  add(files: readonly File[]): void {
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
      this.change({ uploads: [...this.now.uploads, upload] });
      void this.#upload(upload);
    }
  }

  again(upload: Upload): void {
    const fresh = { ...upload, failure: null, progress: 0, abort: new AbortController() };
    this.#patch(upload.key, fresh);
    void this.#upload(fresh);
  }

  remove(upload: Upload): void {
    upload.abort.abort();
    if (upload.preview) URL.revokeObjectURL(upload.preview);
    this.change({ uploads: this.now.uploads.filter(({ key }) => key !== upload.key) });
    this.#goIfDue();
  }

  /** Sends it, or does so once its files are there. Answers whether there was anything to send. */
  send(): boolean {
    const { text, uploads, replyTo } = this.now;
    if (text.trim() === '' && uploads.length === 0) return false;
    if (uploads.some(({ info }) => info === null)) {
      this.change({ isDue: true });
      return true;
    }
    const files = uploads.flatMap(({ info }) => (info ? [info.id] : []));
    this.house.send(this.chatId, {
      content: text.trim(),
      ...(files.length > 0 && { files }),
      ...(replyTo && { reply_to: replyTo.id }),
    });
    for (const { preview } of uploads) if (preview) URL.revokeObjectURL(preview);
    this.change({ text: '', uploads: [], replyTo: null, isDue: false });
    return true;
  }

  #goIfDue(): void {
    const { isDue, uploads } = this.now;
    if (isDue && uploads.every(({ info }) => info !== null)) {
      this.change({ isDue: false });
      this.send();
    }
  }

  #patch(key: string, change: Partial<Upload>): void {
    this.change({ uploads: this.now.uploads.map((one) => (one.key === key ? { ...one, ...change } : one)) });
  }

  async #upload({ key, file, abort }: Upload): Promise<void> {
    try {
      const info = await this.house.client.uploads.start(file, {
        signal: abort.signal,
        onProgress: ({ sent, total }) => this.#patch(key, { progress: total > 0 ? sent / total : 0 }),
      });
      this.#patch(key, { info, progress: 1 });
      this.#goIfDue();
    } catch (error) {
      this.#patch(key, { failure: wordsOf(error) });
    }
  }
}

/** What is being written in a chat, followed as it changes. */
export function useDraft(chatId: number): Draft {
  const house = useHouse();
  return useStore(storeOf(house), (drafts) => draftOf(house, drafts, chatId));
}
