/** Edits of a text field that the user can undo. */

/** Replaces a range of a text field, as if it was typed: it can be undone, and the field reports its new value. */
export function replaceText(field: HTMLTextAreaElement, start: number, end: number, text: string): void {
  if (field.readOnly || field.disabled) return;
  field.focus();
  field.setSelectionRange(start, end);
  const isDone = document.execCommand(text === '' ? 'delete' : 'insertText', false, text);
  if (isDone) return;
  field.setRangeText(text, start, end, 'end');
  field.dispatchEvent(new InputEvent('input', { bubbles: true }));
}

/** Moves the focus to the composer of the open chat, if there is one. */
export function focusComposer(): void {
  document.querySelector<HTMLElement>('[data-composer]')?.focus();
}
