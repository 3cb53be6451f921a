import { lazy, type ReactElement } from 'react';
import { OnDemand } from '../ui/OnDemand';

const EmojiPopover = lazy(() => import('./EmojiPopover'));

/** A button that opens the emoji; they are fetched when it is first clicked. */
export function EmojiButton(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly onPick: (emoji: string) => void;
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <OnDemand trigger={props.trigger} popup="dialog" onWanted={() => props.onOpenChange?.(true)}>
      <EmojiPopover {...props} />
    </OnDemand>
  );
}
