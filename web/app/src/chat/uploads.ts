import { type FileInfo, uniqueId } from '@confab/sdk';
import { create } from 'zustand';
import type { House } from '../world/house';
import { useHouse } from '../world/use';

/** A file on its way, or there. */
export interface Upload {
  readonly key: string;
  readonly name: string;
  readonly size: number;
  /** A picture of it, before anybody else has it. */
  readonly preview: string | null;
  /** 0 to 1. */
  readonly progress: number;
  readonly info: FileInfo | null;
  readonly failure: string | null;
  readonly abort: AbortController;
  readonly file: File;
}

interface State {
  readonly byChat: ReadonlyMap<number, readonly Upload[]>;
}

const useStore = create<State>(() => ({ byChat: new Map() }));

const NONE: readonly Upload[] = [];

function setUploads(chatId: number, change: (uploads: readonly Upload[]) => readonly Upload[]): void {
  useStore.setState(({ byChat }) => ({ byChat: new Map(byChat).set(chatId, change(byChat.get(chatId) ?? NONE)) }));
}

function patch(chatId: number, key: string, change: Partial<Upload>): void {
  setUploads(chatId, (uploads) => uploads.map((one) => (one.key === key ? { ...one, ...change } : one)));
}

async function start(house: House, chatId: number, upload: Upload): Promise<void> {
  try {
    const info = await house.client.uploads.start(upload.file, {
      signal: upload.abort.signal,
      onProgress: ({ sent, total }) => patch(chatId, upload.key, { progress: total > 0 ? sent / total : 0 }),
    });
    patch(chatId, upload.key, { info, progress: 1 });
  } catch (error) {
    patch(chatId, upload.key, { failure: error instanceof Error ? error.message : String(error) });
  }
}

/** The files that wait beside a chat's composer; they stay while other chats are looked at. */
export function useUploads(chatId: number) {
  const house = useHouse();
  const uploads = useStore(({ byChat }) => byChat.get(chatId) ?? NONE);
  const forget = ({ preview }: Upload) => preview && URL.revokeObjectURL(preview);
  return {
    uploads,
    add: (files: readonly File[]) => {
      for (const file of files) {
        const preview = file.type.startsWith('image/') ? URL.createObjectURL(file) : null;
        const upload: Upload = {
          key: uniqueId(),
          name: file.name,
          size: file.size,
          preview,
          progress: 0,
          info: null,
          failure: null,
          abort: new AbortController(),
          file,
        };
        setUploads(chatId, (now) => [...now, upload]);
        void start(house, chatId, upload);
      }
    },
    again: (upload: Upload) => {
      const fresh = { ...upload, failure: null, progress: 0, abort: new AbortController() };
      patch(chatId, upload.key, fresh);
      void start(house, chatId, fresh);
    },
    remove: (upload: Upload) => {
      upload.abort.abort();
      forget(upload);
      setUploads(chatId, (now) => now.filter(({ key }) => key !== upload.key));
    },
    clear: () => {
      uploads.forEach(forget);
      setUploads(chatId, () => []);
    },
  };
}
