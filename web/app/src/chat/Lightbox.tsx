import { Dialog } from '@base-ui/react/dialog';
import type { FileInfo } from '@confab/sdk';
import type { KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { download, usePrivateFile } from '../ui/files';
import { attempt } from '../view';
import { useHouse } from '../world/use';
import styles from './Lightbox.module.css';

/** A picture as large as the window; the arrows go to the others of its message. */
export default function Lightbox(props: {
  readonly pictures: readonly FileInfo[];
  readonly shown: FileInfo;
  readonly onShow: (file: FileInfo) => void;
  readonly onClose: () => void;
}) {
  const { pictures, shown, onShow, onClose } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const preview = usePrivateFile(shown.thumbnail_url);
  const address = usePrivateFile(shown.url) ?? preview;
  const step = (by: number) => {
    const next = pictures[(pictures.indexOf(shown) + by + pictures.length) % pictures.length];
    if (next) onShow(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
  };
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={shown.filename} onKeyDown={onKeyDown}>
          <header className={styles.header}>
            <span>{shown.filename}</span>
            <IconButton
              icon="down"
              label={t('file.save')}
              onClick={() => attempt(() => download(house, shown.url, shown.filename))}
            />
            <Dialog.Close render={<IconButton icon="close" label={t('close')} />} />
          </header>
          <button type="button" className={styles.stage} onClick={onClose} aria-label={t('close')} tabIndex={-1}>
            {address && <img src={address} alt={shown.filename} />}
          </button>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
