import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useView } from '../view';
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
  /** Where the keys are put when it is done. */
  readonly next?: () => HTMLElement | null;
}

/** Asks before something is done that cannot be undone. */
export function Sure({ title, text, verb, work, next }: Question) {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  const { refusal, trying } = useRefusal();
  const [isBusy, setIsBusy] = useState(false);
  const doIt = async () => {
    setIsBusy(true);
    if (!(await trying(work))) return setIsBusy(false);
    close();
    // Where they were may be gone.
    if (next) requestAnimationFrame(() => next()?.focus());
  };
  return (
    <Dialog title={title} role="alertdialog" onClose={close}>
      <p className={styles.text}>{text}</p>
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        <Button onClick={close}>{t('cancel')}</Button>
        <Button look="danger" disabled={isBusy} onClick={doIt}>
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}
