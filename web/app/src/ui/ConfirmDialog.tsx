import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatState } from '../store/hooks';
import { useUiStore } from '../uiStore';
import { Button } from './Button';
import styles from './ConfirmDialog.module.css';
import { Dialog } from './Dialog';
import { FormError } from './Field';
import { useAction } from './useAction';

/** What is asked before something is done that cannot be undone. */
export interface Confirmation {
  readonly title: string;
  readonly text: string;
  /** What the button says that does it. */
  readonly confirmLabel: string;
  readonly action: () => Promise<unknown>;
  /** The chat that it is about; when that goes, so does the question. */
  readonly chatId?: number;
  /** Where the keys are put when it is done. */
  readonly getFocusTarget?: () => HTMLElement | null;
}

/** Asks before something is done that cannot be undone. */
export function ConfirmDialog({ title, text, confirmLabel, action, chatId, getFocusTarget }: Confirmation) {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const isChatGone = useChatState(({ chats }) => chatId !== undefined && !chats.has(chatId));
  const { error, run } = useAction();
  const [isBusy, setIsBusy] = useState(false);
  const cancelRef = useRef<HTMLButtonElement>(null);
  const isMounted = useRef(false);
  useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);
  const confirm = async () => {
    setIsBusy(true);
    if (!(await run(action))) return setIsBusy(false);
    // Another layer may have taken its place.
    if (!isMounted.current) return;
    closeModal();
    // Where they were may be gone.
    if (getFocusTarget) requestAnimationFrame(() => getFocusTarget()?.focus());
  };
  useEffect(() => {
    if (isChatGone && !isBusy) closeModal();
  }, [isChatGone, isBusy, closeModal]);
  return (
    // While it is being done nothing else begins.
    <Dialog title={title} description={text} onClose={() => isBusy || closeModal()} initialFocus={cancelRef}>
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button ref={cancelRef} onClick={() => isBusy || closeModal()}>
          {t('cancel')}
        </Button>
        <Button variant="danger" disabled={isBusy} onClick={confirm}>
          {confirmLabel}
        </Button>
      </div>
    </Dialog>
  );
}
