import { ApiError } from '@confab/sdk';

/** What went wrong, as a sentence for people. */
export function wordsOf(failure: unknown): string {
  const [only, another] = failure instanceof ApiError ? (failure.errors ?? []) : [];
  if (only && !another) return sentence(without(only.field, only.detail));
  return sentence(failure instanceof Error ? failure.message : String(failure));
}

/** What is wrong with a field of a form, if anything is. */
export function wordsOfField(failure: unknown, field: string): string | undefined {
  const wrong = failure instanceof ApiError ? failure.errors?.find((one) => one.field === field) : undefined;
  return wrong && sentence(without(field, wrong.detail));
}

/** The server names the field first, which stands beside it already. */
function without(field: string, detail: string): string {
  return detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail;
}

function sentence(text: string): string {
  const upper = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(upper) ? upper : `${upper}.`;
}
