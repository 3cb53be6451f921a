import { Dialog as Base } from '@base-ui/react/dialog';
import type { ReactNode, RefObject } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from './Button';
import styles from './Dialog.module.css';

/** A modal dialog with a title. Escape and the close button close it. */
export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly isWide?: boolean;
  /** The text of an alert dialog. */
  readonly description?: string;
  /** The element that gets the focus first. */
  readonly initialFocus?: RefObject<HTMLElement | null>;
}) {
  const { t } = useTranslation();
  return (
    <Base.Root open onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <Base.Portal>
        <Base.Backdrop className={styles.backdrop} />
        <Base.Popup
          className={`${styles.popup} ${props.isWide ? styles.wide : ''}`}
          {...(props.description !== undefined && { role: 'alertdialog' })}
          {...(props.initialFocus && { initialFocus: props.initialFocus })}
        >
          <header className={styles.header}>
            <Base.Title className={styles.title}>{props.title}</Base.Title>
            <Base.Close render={<IconButton icon="close" label={t('close')} />} />
          </header>
          <div className={styles.body}>
            {props.description !== undefined && (
              <Base.Description className={styles.about}>{props.description}</Base.Description>
            )}
            {props.children}
          </div>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
