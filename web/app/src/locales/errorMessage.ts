import { ApiError } from '@confab/sdk';

/** Returns an error as a sentence for the user. */
export function getErrorMessage(error: unknown): string {
  const [first, second] = error instanceof ApiError ? (error.errors ?? []) : [];
  if (first && !second) return toSentence(stripFieldName(first.field, first.detail));
  return toSentence(error instanceof Error ? error.message : String(error));
}

/** The field that the code of an error concerns. */
const FIELD_OF_CODE: Readonly<Record<string, string>> = { username_taken: 'username', email_taken: 'email' };

/** Returns the error of a form field, if any. */
export function getFieldError(error: unknown, field: string): string | undefined {
  if (error instanceof ApiError && FIELD_OF_CODE[error.code] === field) return toSentence(error.message);
  const fieldError = error instanceof ApiError ? error.errors?.find((one) => one.field === field) : undefined;
  return fieldError && toSentence(stripFieldName(field, fieldError.detail));
}

/** Removes the field name that the server puts first: the label already shows it. */
function stripFieldName(field: string, detail: string): string {
  return detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail;
}

function toSentence(text: string): string {
  const upper = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(upper) ? upper : `${upper}.`;
}
