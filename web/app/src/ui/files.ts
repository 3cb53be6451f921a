/** How long the URL of a saved file is kept for the browser, in milliseconds. */
const REVOKE_DELAY_MS = 60_000;

/** Saves a blob as a file. */
export function saveBlob(bytes: Blob, filename: string): void {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(bytes);
  anchor.download = filename;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), REVOKE_DELAY_MS);
}

/** Formats a size, as in `1.4 MB`. */
export function formatFileSize(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  const unitIndex = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** unitIndex;
  return new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: units[unitIndex] ?? 'byte',
    unitDisplay: unitIndex === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && unitIndex > 0 ? 1 : 0,
  }).format(value);
}
