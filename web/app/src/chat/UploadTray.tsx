import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { sizeText } from '../ui/files';
import { Icon } from '../ui/Icon';
import styles from './Composer.module.css';
import { type DraftHandle, type Upload, useDraft } from './drafts';

/** The files that will go with the next message. */
export function UploadTray({ draft }: { readonly draft: DraftHandle }) {
  const { t } = useTranslation();
  const { uploads } = useDraft(draft.chatId);
  if (uploads.length === 0) return null;
  return (
    <ul className={styles.tray} aria-label={t('upload.title')}>
      {uploads.map((upload) => (
        <li key={upload.key} className={styles.upload} data-failed={upload.failure !== null}>
          {upload.preview ? <img src={upload.preview} alt="" /> : <Icon name="file" size={26} />}
          <span>
            <strong>{upload.file.name}</strong>
            <Status upload={upload} />
          </span>
          {upload.failure !== null && (
            <button type="button" className={styles.again} onClick={() => draft.again(upload)}>
              {t('again')}
            </button>
          )}
          <IconButton
            icon="close"
            size={14}
            label={t('upload.remove', { name: upload.file.name })}
            onClick={() => draft.remove(upload)}
          />
        </li>
      ))}
    </ul>
  );
}

function Status({ upload }: { readonly upload: Upload }) {
  const { t } = useTranslation();
  if (upload.failure !== null) return <small role="alert">{upload.failure}</small>;
  if (upload.info) return <small>{sizeText(upload.file.size)}</small>;
  return <progress value={upload.progress} max={1} aria-label={t('upload.progress', { name: upload.file.name })} />;
}
