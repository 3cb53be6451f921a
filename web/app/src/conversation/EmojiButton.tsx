import type { ReactElement } from 'react';
import { LazyPopup } from '../ui/LazyPopup';
import { lazyWithRetry } from '../ui/lazyWithRetry';

const EmojiPopover = lazyWithRetry(() => import('./EmojiPopover'));

/** A button that opens the emoji picker. The picker is loaded on the first click. */
export function EmojiButton(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly onPick: (emoji: string) => void;
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <LazyPopup trigger={props.trigger} popup="dialog" onOpenChange={props.onOpenChange}>
      <EmojiPopover {...props} />
    </LazyPopup>
  );
}
