/** Edits of a text field that the user can undo, and keys of input methods. */

/** Replaces a range of a text field, as if it was typed: it can be undone, and the field reports its new value. */
export function replaceText(field: HTMLTextAreaElement, start: number, end: number, text: string): void {
  field.focus();
  field.setSelectionRange(start, end);
  const isDone = document.execCommand(text === '' ? 'delete' : 'insertText', false, text);
  if (isDone) return;
  field.setRangeText(text, start, end, 'end');
  field.dispatchEvent(new InputEvent('input', { bubbles: true }));
}

/** Whether an input method handles a key: Enter chooses a word then, and some browsers report only the code 229. */
export function isComposing(event: { readonly nativeEvent: KeyboardEvent }): boolean {
  return event.nativeEvent.isComposing || event.nativeEvent.keyCode === 229;
}

/** Whether Enter sends. On a device without a keyboard it makes a new line. */
export const sendsOnEnter = () => matchMedia('(hover: hover)').matches;

/** Moves the focus to the composer of the open chat, if there is one. */
export function focusComposer(): void {
  document.querySelector<HTMLElement>('[data-composer]')?.focus();
}
