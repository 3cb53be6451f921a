import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './ConfirmDialog.module.css';
import { useChatState } from './store/hooks';
import { Button } from './ui/Button';
import { Dialog } from './ui/Dialog';
import { FormError } from './ui/Field';
import { useAction } from './ui/useAction';
import { useUiStore } from './uiStore';

/** A confirmation of an action that cannot be undone. */
export interface Confirmation {
  readonly title: string;
  readonly text: string;
  /** The label of the confirm button. */
  readonly confirmLabel: string;
  readonly action: () => Promise<unknown>;
  /** The chat concerned. The dialog closes when the chat is removed. */
  readonly chatId?: number;
  /** Returns the element to focus after the action. */
  readonly getFocusTarget?: () => HTMLElement | null;
}

/** Asks for confirmation of an action that cannot be undone. */
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
    // Another modal may have replaced this one.
    if (!isMounted.current) return;
    closeModal();
    // The element that had focus before may no longer exist.
    if (getFocusTarget) requestAnimationFrame(() => getFocusTarget()?.focus());
  };
  useEffect(() => {
    if (isChatGone && !isBusy) closeModal();
  }, [isChatGone, isBusy, closeModal]);
  return (
    // The dialog cannot be closed while the action runs.
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
