import { replaceText } from './textarea';

/** A format in the toolbar. */
export interface Format {
  readonly name: 'bold' | 'italic' | 'strike' | 'code' | 'link' | 'quote' | 'spoiler';
  readonly label: string;
  /** The key that applies it, with Ctrl or Cmd. */
  readonly key?: string;
}

/** The formats, in the order of the toolbar. The labels are what they look like. */
export const FORMATS: readonly Format[] = [
  { name: 'bold', label: 'B', key: 'b' },
  { name: 'italic', label: 'I', key: 'i' },
  { name: 'strike', label: 'S' },
  { name: 'code', label: '<>', key: 'e' },
  { name: 'link', label: '🔗', key: 'k' },
  { name: 'quote', label: '❝' },
  { name: 'spoiler', label: '▒' },
];

const MARKERS = { bold: '**', italic: '*', strike: '~~', code: '`', spoiler: '||' } as const;

/** Makes a link of the selection; its address is selected, to be replaced. */
function insertLink(field: HTMLTextAreaElement): void {
  const { value, selectionStart: start, selectionEnd: end } = field;
  const selected = value.slice(start, end);
  replaceText(field, start, end, `[${selected}](https://)`);
  const at = start + selected.length + 3;
  field.setSelectionRange(at, at + 'https://'.length);
}

/** Quotes the selected lines, or removes the quote. */
function toggleQuote(field: HTMLTextAreaElement): void {
  const { value, selectionStart, selectionEnd: end } = field;
  const start = value.lastIndexOf('\n', selectionStart - 1) + 1;
  const lines = value.slice(start, end).split('\n');
  const isQuoted = lines.every((line) => line.startsWith('> '));
  const changed = lines.map((line) => (isQuoted ? line.slice(2) : `> ${line}`)).join('\n');
  replaceText(field, start, end, changed);
  field.setSelectionRange(start, start + changed.length);
}

/** Applies a format to the selection of a text field, or removes it. */
export function applyFormat(field: HTMLTextAreaElement, name: Format['name']): void {
  if (name === 'link') insertLink(field);
  else if (name === 'quote') toggleQuote(field);
  else toggleMarkers(field, name);
}

/** Puts the markers of a format around the selection, or removes them. */
function toggleMarkers(field: HTMLTextAreaElement, name: keyof typeof MARKERS): void {
  const { value, selectionStart: start, selectionEnd: end } = field;
  const selected = value.slice(start, end);
  const isBlock = name === 'code' && selected.includes('\n');
  const [before, after] = isBlock ? ['```\n', '\n```'] : [MARKERS[name], MARKERS[name]];
  const isFormatted = hasMarker(value.slice(0, start), value.slice(end), before, after);
  if (isFormatted) {
    replaceText(field, start - before.length, end + after.length, selected);
    field.setSelectionRange(start - before.length, end - before.length);
  } else {
    replaceText(field, start, end, `${before}${selected}${after}`);
    field.setSelectionRange(start + before.length, end + before.length);
  }
}

/** Whether a marker stands around the selection; a single `*` is not a part of `**`. */
function hasMarker(textBefore: string, textAfter: string, before: string, after: string): boolean {
  if (!textBefore.endsWith(before) || !textAfter.startsWith(after)) return false;
  if (before !== '*') return true;
  const count = /\**$/.exec(textBefore)?.[0].length ?? 0;
  return count % 2 === 1;
}

/** Returns the link that a pasted address makes of a selected text; null if it replaces the text. */
export function linkSelection(selected: string, pasted: string): string | null {
  const url = pasted.trim();
  const isUrl = /^https?:\/\/\S+$/.test(url) && URL.canParse(url);
  if (!isUrl || selected.trim() === '' || selected.includes('\n') || /^https?:\/\//.test(selected)) return null;
  return `[${selected}](${url})`;
}
