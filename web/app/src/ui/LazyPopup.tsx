import { cloneElement, type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ErrorBoundary } from './ErrorBoundary';
import { retryFailedLoads } from './lazyWithRetry';
import { showToast } from './toast';

/** A button whose popup is loaded on the first click. */
export function LazyPopup(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly popup: 'menu' | 'dialog';
  readonly onOpenChange?: ((isOpen: boolean) => void) | undefined;
  /** The button with its popup open. */
  readonly children: ReactNode;
}) {
  const { trigger, popup, onOpenChange, children } = props;
  const [isRequested, setIsRequested] = useState(false);
  const button = cloneElement(trigger, {
    'aria-haspopup': popup,
    'aria-expanded': false,
    onClick: () => {
      setIsRequested(true);
      onOpenChange?.(true);
    },
  });
  if (!isRequested) return button;
  const cancel = () => {
    setIsRequested(false);
    onOpenChange?.(false);
  };
  return (
    <ErrorBoundary fallback={button} renderError={() => <Unavailable button={button} onHandled={cancel} />}>
      {children}
    </ErrorBoundary>
  );
}

/** Shows a toast when the popup failed to load, and renders the plain button again. */
function Unavailable({ button, onHandled }: { readonly button: ReactElement; readonly onHandled: () => void }) {
  const { t } = useTranslation();
  const onHandledRef = useRef(onHandled);
  useEffect(() => {
    showToast(t('errorBoundary.loadFailed'));
    retryFailedLoads();
    onHandledRef.current();
  }, [t]);
  return button;
}
