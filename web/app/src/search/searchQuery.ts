import type { SearchQuery } from '@confab/sdk';

/** The filters that can be written as `operator:value`. */
export const OPERATORS = ['from', 'in', 'has', 'before', 'after'] as const;
export type Operator = (typeof OPERATORS)[number];

/** The values of `has:`. */
export const ATTACHMENTS = ['file', 'image', 'link'] as const;

/** A filter of a search. */
export interface SearchFilter {
  readonly operator: Operator;
  /** An id, a kind of attachment, or a date. */
  readonly value: string;
  /** As the user reads it. */
  readonly label: string;
}

/** The order of the results. */
export type SearchOrder = 'best' | 'newest';

/** What a search looks for. */
export interface SearchInput {
  readonly text: string;
  readonly filters: readonly SearchFilter[];
  readonly order: SearchOrder;
}

/** The operator that is being written at the end of a text. */
export function parseOperator(text: string): { readonly operator: Operator; readonly word: string } | null {
  const match = /(?:^|\s)(from|in|has|before|after):([^\s:]*)$/i.exec(text);
  if (!match) return null;
  return { operator: (match[1] ?? '').toLowerCase() as Operator, word: (match[2] ?? '').toLowerCase() };
}

/** Removes the operator at the end of a text. */
export const withoutOperator = (text: string) => text.replace(/(?:^|\s)(?:from|in|has|before|after):[^\s:]*$/i, '');

/** Returns a date if a word is one, as in `2026-12-31`. */
export function parseDate(word: string): string | null {
  return /^\d{4}-\d\d-\d\d$/.test(word) && !Number.isNaN(Date.parse(word)) ? word : null;
}

/** The start of a day of this device, as an instant. */
const startOfDay = (date: string) => new Date(`${date}T00:00:00`).toISOString();

/** Builds the query of a request; null if it would look for nothing. */
export function buildQuery({ text, filters, order }: SearchInput): SearchQuery | null {
  const find = (operator: Operator) => filters.find((filter) => filter.operator === operator)?.value;
  const [from, chat, has, before, after] = OPERATORS.map(find);
  const q = text.trim();
  if (q === '' && !from && !has && !before && !after) return null;
  return {
    ...(q && { q }),
    ...(from && { from: Number(from) }),
    ...(chat && { chat_id: Number(chat) }),
    ...(has && { has: has as (typeof ATTACHMENTS)[number] }),
    ...(before && { before: startOfDay(before) }),
    ...(after && { after: startOfDay(after) }),
    order,
  };
}

/** The words of a search text whose matches stand out. */
export function getSearchedWords(text: string): string[] {
  const pieces = text.match(/-?"[^"]*"?|\S+/g) ?? [];
  return pieces
    .filter((piece) => !piece.startsWith('-') && piece.toLowerCase() !== 'or')
    .flatMap((piece) => piece.replaceAll('"', '').split(/\s+/))
    .filter((word) => word !== '');
}

/** A part of an excerpt. */
interface ExcerptPart {
  readonly text: string;
  readonly isMatch: boolean;
}

/** Length of the text before the first match, in characters. */
const LEAD_LENGTH = 40;

/** Cuts a text to where its first match is, and marks the matches. */
export function createExcerpt(text: string, words: readonly string[]): ExcerptPart[] {
  if (words.length === 0) return [{ text, isMatch: false }];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`(${escaped.join('|')})`, 'giu');
  const first = text.search(pattern);
  const start = first > 2 * LEAD_LENGTH ? text.indexOf(' ', first - LEAD_LENGTH) + 1 : 0;
  const excerpt = start > 0 ? `…${text.slice(start)}` : text;
  return excerpt
    .split(pattern)
    .map((part, nth) => ({ text: part, isMatch: nth % 2 === 1 }))
    .filter((part) => part.text !== '');
}
