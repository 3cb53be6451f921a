import { type MouseEvent, type PointerEvent, useEffect, useRef } from 'react';

/** How long a finger has to rest until a menu opens, in milliseconds. */
const LONG_PRESS_MS = 500;

/** How far a finger may move meanwhile, in pixels. */
const MAX_MOVE_PX = 10;

/** What keeps the menu of the browser: links, images and text fields. */
const NATIVE_TARGETS = 'a[href], img, input, textarea, select';

/**
 * Opens a menu on a right click, on a long press, and on the menu key. Returns the handlers of the element. Of an
 * element that is a link itself, `isLink`, the menu replaces that of the browser.
 */
export function useContextMenu(open: (anchor: { readonly x: number; readonly y: number }) => void, isLink = false) {
  const press = useRef<{ readonly timer: ReturnType<typeof setTimeout>; readonly x: number; readonly y: number }>(null);
  const cancel = () => {
    if (press.current) clearTimeout(press.current.timer);
    press.current = null;
  };
  useEffect(() => cancel, []);
  return {
    onContextMenu: (event: MouseEvent) => {
      cancel();
      const isNative = event.shiftKey || (!isLink && (event.target as Element).closest(NATIVE_TARGETS) !== null);
      if (isNative || hasSelection(event.currentTarget)) return;
      event.preventDefault();
      // The menu key reports no position.
      const rect = event.currentTarget.getBoundingClientRect();
      open(event.clientX || event.clientY ? { x: event.clientX, y: event.clientY } : { x: rect.x + 40, y: rect.y + 8 });
    },
    onPointerDown: ({ pointerType, clientX: x, clientY: y }: PointerEvent) => {
      cancel();
      if (pointerType !== 'touch') return;
      // Not every browser reports a long press as `contextmenu`.
      press.current = { timer: setTimeout(() => open({ x, y }), LONG_PRESS_MS), x, y };
    },
    onPointerMove: ({ clientX, clientY }: PointerEvent) => {
      const start = press.current;
      if (start && Math.hypot(clientX - start.x, clientY - start.y) > MAX_MOVE_PX) cancel();
    },
    onPointerUp: cancel,
    onPointerCancel: cancel,
  };
}

/** Whether text of the element is selected. */
function hasSelection(element: Element): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}
