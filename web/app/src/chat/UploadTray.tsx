import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { sizeText } from '../ui/files';
import { Icon } from '../ui/Icon';
import styles from './Composer.module.css';
import { type Upload, useUploads } from './uploads';

/** The files that will go with the next message. */
export function UploadTray({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { uploads, remove, again } = useUploads(chatId);
  if (uploads.length === 0) return null;
  return (
    <ul className={styles.tray} aria-label={t('upload.title')}>
      {uploads.map((upload) => (
        <li key={upload.key} className={styles.upload} data-failed={upload.failure !== null}>
          {upload.preview ? <img src={upload.preview} alt="" /> : <Icon name="file" size={26} />}
          <span>
            <strong>{upload.name}</strong>
            <Status upload={upload} />
          </span>
          {upload.failure !== null && (
            <button type="button" className={styles.again} onClick={() => again(upload)}>
              {t('again')}
            </button>
          )}
          <IconButton
            icon="close"
            size={14}
            label={t('upload.remove', { name: upload.name })}
            onClick={() => remove(upload)}
          />
        </li>
      ))}
    </ul>
  );
}

function Status({ upload }: { readonly upload: Upload }) {
  const { t } = useTranslation();
  if (upload.failure !== null) return <small role="alert">{upload.failure}</small>;
  if (upload.info) return <small>{sizeText(upload.size)}</small>;
  return <progress value={upload.progress} max={1} aria-label={t('upload.progress', { name: upload.name })} />;
}
