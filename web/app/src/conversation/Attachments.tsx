import type { FileInfo } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFileUrl } from '../store/fileCache';
import { ErrorBoundary } from '../ui/ErrorBoundary';
import { lazyWithRetry } from '../ui/lazyWithRetry';
import styles from './Attachments.module.css';
import { FileAttachment } from './FileAttachment';
import { isPlayable, MediaAttachment } from './MediaAttachment';
import { getGalleryColumns, getImageSize, isImage } from './rows';

const Lightbox = lazyWithRetry(() => import('./Lightbox'));

/** Maximum size of an animated picture that is shown moving in the timeline, in bytes. */
const MAX_ANIMATED_BYTES = 8 * 1024 * 1024;

/** The files of a message: images in a gallery, recordings with a player, other files as downloads. */
export function Attachments({ files }: { readonly files: readonly FileInfo[] }) {
  const [openedImage, setOpenedImage] = useState<FileInfo | null>(null);
  if (files.length === 0) return null;
  const images = files.filter(isImage);
  const others = files.filter((file) => !isImage(file));
  const isGallery = images.length > 1;
  return (
    <div className={styles.files}>
      {images.length > 0 && (
        <div
          className={isGallery ? styles.gallery : styles.single}
          data-columns={isGallery ? getGalleryColumns(images.length) : undefined}
        >
          {images.map((file) => (
            <ImageAttachment key={file.id} file={file} isTile={isGallery} onOpen={() => setOpenedImage(file)} />
          ))}
        </div>
      )}
      {others.map((file) =>
        isPlayable(file) ? <MediaAttachment key={file.id} file={file} /> : <FileAttachment key={file.id} file={file} />,
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

function ImageAttachment(props: { readonly file: FileInfo; readonly isTile: boolean; readonly onOpen: () => void }) {
  const { file, isTile, onOpen } = props;
  const { t } = useTranslation();
  // A thumbnail does not move.
  const isAnimated = file.mime_type === 'image/gif' && file.size <= MAX_ANIMATED_BYTES;
  const imageUrl = useFileUrl(isAnimated ? file.url : (file.thumbnail_url ?? file.url));
  const size = getImageSize(file);
  return (
    <button
      type="button"
      className={styles.picture}
      style={isTile ? undefined : { width: size.width, aspectRatio: `${size.width} / ${size.height}` }}
      aria-label={t('file.open', { name: file.filename })}
      onClick={onOpen}
    >
      {imageUrl && <img src={imageUrl} alt={file.filename} width={size.width} height={size.height} />}
    </button>
  );
}
