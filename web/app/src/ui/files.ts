import { useEffect, useState } from 'react';
import type { House } from '../world/house';
import { useHouse } from '../world/use';

/** So many pictures are held at once. */
const MOST = 150;

/** What was fetched with a token, by address, the latest used last: a page can only show it as `blob:`. */
const held = new WeakMap<House, Map<string, Promise<string>>>();

/** The `blob:` address of a private file. */
function privateFile(house: House, url: string): Promise<string> {
  const files = held.get(house) ?? new Map<string, Promise<string>>();
  held.set(house, files);
  const known = files.get(url);
  const file = known ?? house.client.api.files.get(url).then((blob) => URL.createObjectURL(blob));
  files.delete(url);
  files.set(url, file);
  if (!known) file.catch(() => files.delete(url));
  const [oldest] = files;
  if (files.size > MOST && oldest) {
    files.delete(oldest[0]);
    oldest[1].then((address) => URL.revokeObjectURL(address)).catch(() => {});
  }
  return file;
}

/** The `blob:` address of a private file, once it is there. */
export function usePrivateFile(url: string | null): string | null {
  const house = useHouse();
  const [shown, setShown] = useState<{ readonly url: string; readonly address: string } | null>(null);
  useEffect(() => {
    if (url === null) return;
    let isOver = false;
    privateFile(house, url).then(
      (address) => !isOver && setShown({ url, address }),
      () => {},
    );
    return () => {
      isOver = true;
    };
  }, [house, url]);
  return shown?.url === url ? shown.address : null;
}

/** Lets go of all that somebody looked at. */
export function forgetFiles(house: House): void {
  for (const file of held.get(house)?.values() ?? [])
    file.then((address) => URL.revokeObjectURL(address)).catch(() => {});
  held.delete(house);
}

/** How long a saved file is held for the browser to take it, in milliseconds. */
const TAKEN_MS = 60_000;

/** Saves a private file under its name. */
export async function download(house: House, url: string, filename: string): Promise<void> {
  save(await house.client.api.files.get(url), filename);
}

/** Gives bytes away as a file. */
export function save(bytes: Blob, filename: string): void {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(bytes);
  anchor.download = filename;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), TAKEN_MS);
}

/** A size for people, as in `1.4 MB`. */
export function sizeText(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  const nth = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** nth;
  return new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: units[nth] ?? 'byte',
    unitDisplay: nth === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && nth > 0 ? 1 : 0,
  }).format(value);
}
