import { type Anchor, closePopup, usePopup } from './popup';

/** Returns what a positioner needs: an element, or a rectangle without a size. */
export function getAnchor(anchor: Anchor): Element | { getBoundingClientRect: () => DOMRect } {
  if (anchor instanceof Element) return anchor;
  return { getBoundingClientRect: () => new DOMRect(anchor.x, anchor.y, 0, 0) };
}

/** Returns the handler that closes a popup, except on a click on its button, which closes it by itself. */
export function createCloseHandler(anchor: Anchor) {
  const { popup } = usePopup.getState();
  return (isOpen: boolean, { event }: { readonly event: Event }) => {
    // Another popup may have replaced this one.
    if (isOpen || usePopup.getState().popup !== popup) return;
    const isOnButton = anchor instanceof Element && event.target instanceof Node && anchor.contains(event.target);
    if (!isOnButton || event.type === 'keydown') closePopup();
  };
}
