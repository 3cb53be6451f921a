/** Whether an input method handles a key: Enter chooses a word then, and some browsers report only the code 229. */
export function isComposing(event: { readonly nativeEvent: KeyboardEvent }): boolean {
  return event.nativeEvent.isComposing || event.nativeEvent.keyCode === 229;
}

/** Whether the device probably has a keyboard: Enter sends, and fields get the focus without covering the page. */
export const hasPhysicalKeyboard = () => matchMedia('(hover: hover)').matches;

const isMac = navigator.platform.startsWith('Mac');

/** Formats a shortcut with the command key of the system, as in `Ctrl B` or `⌘ B`. */
export function formatShortcut(keys: string): string {
  const names = keys.replace(/(^|\s)\S/g, (start) => start.toUpperCase());
  return isMac ? `⌘ ${names.replace('Shift', '⇧')}` : `Ctrl ${names}`;
}
