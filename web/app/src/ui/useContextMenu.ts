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
  const isNative = (target: EventTarget, element: Element) =>
    (!isLink && (target as Element).closest(NATIVE_TARGETS) !== null) || hasSelection(element);
  return {
    onContextMenu: (event: MouseEvent) => {
      cancel();
      // An element inside has opened its own menu.
      if (event.defaultPrevented || event.shiftKey || isNative(event.target, event.currentTarget)) return;
      event.preventDefault();
      // The menu key reports no position.
      const rect = event.currentTarget.getBoundingClientRect();
      open(event.clientX || event.clientY ? { x: event.clientX, y: event.clientY } : { x: rect.x + 40, y: rect.y + 8 });
    },
    onPointerDown: (event: PointerEvent) => {
      cancel();
      const { pointerType, clientX: x, clientY: y, target, currentTarget: element } = event;
      if (pointerType !== 'touch' || isNative(target, element)) return;
      // An element around has a menu of its own.
      event.stopPropagation();
      // Not every browser reports a long press as `contextmenu`.
      const timer = setTimeout(() => hasSelection(element) || open({ x, y }), LONG_PRESS_MS);
      press.current = { timer, x, y };
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
