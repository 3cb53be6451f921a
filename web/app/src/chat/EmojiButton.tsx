import type { ReactElement } from 'react';
import { lazily } from '../ui/lazily';
import { OnDemand } from '../ui/OnDemand';

const EmojiPopover = lazily(() => import('./EmojiPopover'));

/** A button that opens the emoji; they are fetched when it is first clicked. */
export function EmojiButton(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly onPick: (emoji: string) => void;
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <OnDemand trigger={props.trigger} popup="dialog" onOpenChange={props.onOpenChange}>
      <EmojiPopover {...props} />
    </OnDemand>
  );
}
