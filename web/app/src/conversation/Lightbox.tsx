import { Dialog } from '@base-ui/react/dialog';
import type { FileInfo } from '@confab/sdk';
import type { KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { downloadFile, useFileUrl } from '../store/fileCache';
import { useChatStore } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { withToast } from '../ui/toast';
import styles from './Lightbox.module.css';

/** A full-window image viewer. The arrow keys move between the images of the message. */
export default function Lightbox(props: {
  readonly images: readonly FileInfo[];
  readonly image: FileInfo;
  readonly onSelect: (file: FileInfo) => void;
  readonly onClose: () => void;
}) {
  const { images, image, onSelect, onClose } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const preview = useFileUrl(image.thumbnail_url);
  const imageUrl = useFileUrl(image.url) ?? preview;
  const step = (delta: number) => {
    const next = images[(images.indexOf(image) + delta + images.length) % images.length];
    if (next) onSelect(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
  };
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={image.filename} onKeyDown={onKeyDown}>
          <header className={styles.header}>
            <span>{image.filename}</span>
            <IconButton
              icon="down"
              label={t('file.save')}
              onClick={() => withToast(() => downloadFile(chatStore, image.url, image.filename))}
            />
            <Dialog.Close render={<IconButton icon="close" label={t('close')} />} />
          </header>
          <button type="button" className={styles.stage} onClick={onClose} aria-label={t('close')} tabIndex={-1}>
            {imageUrl && <img src={imageUrl} alt={image.filename} />}
          </button>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
