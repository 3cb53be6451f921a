import { cloneElement, type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useView } from '../view';
import { Fence } from './Fence';
import { askAgain } from './lazily';

/** A button whose layer is fetched when it is first clicked; until then it is only a button. */
export function OnDemand(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly popup: 'menu' | 'dialog';
  readonly onOpenChange?: ((isOpen: boolean) => void) | undefined;
  /** The button again, with its layer open. */
  readonly children: ReactNode;
}) {
  const { trigger, popup, onOpenChange, children } = props;
  const [isWanted, setIsWanted] = useState(false);
  const button = cloneElement(trigger, {
    'aria-haspopup': popup,
    'aria-expanded': false,
    onClick: () => {
      setIsWanted(true);
      onOpenChange?.(true);
    },
  });
  if (!isWanted) return button;
  const giveUp = () => {
    setIsWanted(false);
    onOpenChange?.(false);
  };
  return (
    <Fence fallback={button} instead={() => <Unavailable button={button} onSaid={giveUp} />}>
      {children}
    </Fence>
  );
}

/** Its layer could not be fetched: it is a button again. */
function Unavailable({ button, onSaid }: { readonly button: ReactElement; readonly onSaid: () => void }) {
  const { t } = useTranslation();
  const said = useRef(onSaid);
  useEffect(() => {
    useView.getState().say(t('broken.unreachable'));
    askAgain();
    said.current();
  }, [t]);
  return button;
}
