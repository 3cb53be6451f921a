import type { FileInfo } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { downloadFile, useFileUrl } from '../store/fileCache';
import { useChatStore } from '../store/hooks';
import { ErrorBoundary } from '../ui/ErrorBoundary';
import { formatFileSize } from '../ui/files';
import { Icon } from '../ui/Icon';
import { lazyWithRetry } from '../ui/lazyWithRetry';
import { withToast } from '../ui/toast';
import styles from './Attachments.module.css';
import { getImageSize, isImage } from './rows';

const Lightbox = lazyWithRetry(() => import('./Lightbox'));

/** Maximum size of an animated picture that is shown moving in the timeline, in bytes. */
const MAX_ANIMATED_BYTES = 8 * 1024 * 1024;

/** The files of a message: images inline, other files as downloads. */
export function Attachments({ files }: { readonly files: readonly FileInfo[] }) {
  const chatStore = useChatStore();
  const [openedImage, setOpenedImage] = useState<FileInfo | null>(null);
  if (files.length === 0) return null;
  const images = files.filter(isImage);
  return (
    <div className={styles.files}>
      {files.map((file) =>
        isImage(file) ? (
          <ImageAttachment key={file.id} file={file} onOpen={() => setOpenedImage(file)} />
        ) : (
          <button
            key={file.id}
            type="button"
            className={styles.file}
            onClick={() => withToast(() => downloadFile(chatStore, file.url, file.filename))}
          >
            <Icon name="file" size={22} />
            <span>
              <strong>{file.filename}</strong>
              <small>{formatFileSize(file.size)}</small>
            </span>
            <Icon name="down" size={16} />
          </button>
        ),
      )}
      {openedImage && (
        <ErrorBoundary>
          <Lightbox
            images={images}
            image={openedImage}
            onSelect={setOpenedImage}
            onClose={() => setOpenedImage(null)}
          />
        </ErrorBoundary>
      )}
    </div>
  );
}

function ImageAttachment({ file, onOpen }: { readonly file: FileInfo; readonly onOpen: () => void }) {
  const { t } = useTranslation();
  // A thumbnail does not move.
  const isAnimated = file.mime_type === 'image/gif' && file.size <= MAX_ANIMATED_BYTES;
  const imageUrl = useFileUrl(isAnimated ? file.url : (file.thumbnail_url ?? file.url));
  const size = getImageSize(file);
  return (
    <button
      type="button"
      className={styles.picture}
      style={{ width: size.width, aspectRatio: `${size.width} / ${size.height}` }}
      aria-label={t('file.open', { name: file.filename })}
      onClick={onOpen}
    >
      {imageUrl && <img src={imageUrl} alt={file.filename} width={size.width} height={size.height} />}
    </button>
  );
}
