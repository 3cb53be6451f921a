import type { FileInfo } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Fence } from '../ui/Fence';
import { download, sizeText, usePrivateFile } from '../ui/files';
import { Icon } from '../ui/Icon';
import { lazily } from '../ui/lazily';
import { attempt } from '../view';
import { useHouse } from '../world/use';
import styles from './Attachments.module.css';
import { isPicture, pictureSize } from './rows';

const Lightbox = lazily(() => import('./Lightbox'));

/** The files of a message: pictures as pictures, the rest to be fetched. */
export function Attachments({ files }: { readonly files: readonly FileInfo[] }) {
  const house = useHouse();
  const [shown, setShown] = useState<FileInfo | null>(null);
  if (files.length === 0) return null;
  const pictures = files.filter(isPicture);
  return (
    <div className={styles.files}>
      {files.map((file) =>
        isPicture(file) ? (
          <Picture key={file.id} file={file} onOpen={() => setShown(file)} />
        ) : (
          <button
            key={file.id}
            type="button"
            className={styles.file}
            onClick={() => attempt(() => download(house, file.url, file.filename))}
          >
            <Icon name="file" size={22} />
            <span>
              <strong>{file.filename}</strong>
              <small>{sizeText(file.size)}</small>
            </span>
            <Icon name="down" size={16} />
          </button>
        ),
      )}
      {shown && (
        <Fence>
          <Lightbox pictures={pictures} shown={shown} onShow={setShown} onClose={() => setShown(null)} />
        </Fence>
      )}
    </div>
  );
}

function Picture({ file, onOpen }: { readonly file: FileInfo; readonly onOpen: () => void }) {
  const { t } = useTranslation();
  const address = usePrivateFile(file.thumbnail_url ?? file.url);
  const size = pictureSize(file);
  return (
    <button
      type="button"
      className={styles.picture}
      style={{ width: size.width, aspectRatio: `${size.width} / ${size.height}` }}
      aria-label={t('file.open', { name: file.filename })}
      onClick={onOpen}
    >
      {address && <img src={address} alt={file.filename} width={size.width} height={size.height} />}
    </button>
  );
}
