import { Dialog as Base } from '@base-ui/react/dialog';
import { type ReactNode, type RefObject, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from './Button';
import styles from './Dialog.module.css';

/** The fields of which the first gets the focus. */
const FIELDS = 'input:is([type=text], [type=search], [type=email], [type=password], :not([type])), textarea';

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
  const body = useRef<HTMLDivElement>(null);
  /** The first field, where there is a keyboard; otherwise the dialog itself. */
  const findFocus = (interaction: string) => {
    const field = body.current?.querySelector<HTMLElement>(FIELDS);
    return interaction !== 'touch' && field ? field : (body.current ?? true);
  };
  return (
    <Base.Root open onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <Base.Portal>
        <Base.Backdrop className={styles.backdrop} />
        <Base.Popup
          className={`${styles.popup} ${props.isWide ? styles.wide : ''}`}
          {...(props.description !== undefined && { role: 'alertdialog' })}
          initialFocus={props.initialFocus ?? findFocus}
        >
          <header className={styles.header}>
            <Base.Title className={styles.title}>{props.title}</Base.Title>
            <Base.Close render={<IconButton icon="close" label={t('close')} />} />
          </header>
          <div ref={body} className={styles.body} tabIndex={-1}>
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
