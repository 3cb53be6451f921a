import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useView } from '../view';
import { useWorld } from '../world/use';
import { Button } from './Button';
import { Dialog } from './Dialog';
import { Refusal } from './Field';
import styles from './Sure.module.css';
import { useRefusal } from './useRefusal';

/** What is asked before something is done that cannot be undone. */
export interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says that does it. */
  readonly verb: string;
  readonly work: () => Promise<unknown>;
  /** The chat that it is about; when that goes, so does the question. */
  readonly chatId?: number;
  /** Where the keys are put when it is done. */
  readonly next?: () => HTMLElement | null;
}

/** Asks before something is done that cannot be undone. */
export function Sure({ title, text, verb, work, chatId, next }: Question) {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  const isMoot = useWorld(({ chats }) => chatId !== undefined && !chats.has(chatId));
  const { refusal, trying } = useRefusal();
  const [isBusy, setIsBusy] = useState(false);
  const cancel = useRef<HTMLButtonElement>(null);
  const isThere = useRef(false);
  useEffect(() => {
    isThere.current = true;
    return () => {
      isThere.current = false;
    };
  }, []);
  const doIt = async () => {
    setIsBusy(true);
    if (!(await trying(work))) return setIsBusy(false);
    // Another layer may have taken its place.
    if (!isThere.current) return;
    close();
    // Where they were may be gone.
    if (next) requestAnimationFrame(() => next()?.focus());
  };
  useEffect(() => {
    if (isMoot && !isBusy) close();
  }, [isMoot, isBusy, close]);
  return (
    // While it is being done nothing else begins.
    <Dialog title={title} about={text} onClose={() => isBusy || close()} first={cancel}>
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        <Button ref={cancel} onClick={() => isBusy || close()}>
          {t('cancel')}
        </Button>
        <Button look="danger" disabled={isBusy} onClick={doIt}>
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}
