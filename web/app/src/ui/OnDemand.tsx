import { cloneElement, type ReactElement, type ReactNode, useState } from 'react';
import { Fence } from './Fence';

/** A button whose layer is fetched when it is first clicked; until then it is only a button. */
export function OnDemand(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly popup: 'menu' | 'dialog';
  readonly onWanted: () => void;
  /** The button again, with its layer open. */
  readonly children: ReactNode;
}) {
  const { trigger, popup, onWanted, children } = props;
  const [isWanted, setIsWanted] = useState(false);
  const button = cloneElement(trigger, {
    'aria-haspopup': popup,
    'aria-expanded': false,
    onClick: () => {
      setIsWanted(true);
      onWanted();
    },
  });
  return isWanted ? <Fence fallback={button}>{children}</Fence> : button;
}
