import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { formatFileSize } from '../ui/files';
import { Icon } from '../ui/Icon';
import styles from './Composer.module.css';
import { type DraftHandle, type Upload, useDraft } from './drafts';

/** The files attached to the draft. */
export function UploadTray({ draft }: { readonly draft: DraftHandle }) {
  const { t } = useTranslation();
  const { uploads, keptFileIds } = useDraft(draft.chatId);
  if (uploads.length === 0 && keptFileIds.length === 0) return null;
  const keptFiles = t('pending.files', { count: keptFileIds.length });
  return (
    <ul className={styles.tray} aria-label={t('upload.title')}>
      {keptFileIds.length > 0 && (
        <li className={styles.upload}>
          <Icon name="file" size={26} />
          <span>
            <strong>{keptFiles}</strong>
          </span>
          <IconButton
            icon="close"
            size={14}
            label={t('upload.remove', { name: keptFiles })}
            onClick={() => draft.update({ keptFileIds: [] })}
          />
        </li>
      )}
      {uploads.map((upload) => (
        <li key={upload.key} className={styles.upload} data-failed={upload.failure !== null}>
          {upload.preview ? <img src={upload.preview} alt="" /> : <Icon name="file" size={26} />}
          <span>
            <strong>{upload.file.name}</strong>
            <UploadStatus upload={upload} />
          </span>
          {upload.failure !== null && (
            <button type="button" className={styles.retry} onClick={() => draft.retryUpload(upload)}>
              {t('retry')}
            </button>
          )}
          <IconButton
            icon="close"
            size={14}
            label={t('upload.remove', { name: upload.file.name })}
            onClick={() => draft.removeUpload(upload)}
          />
        </li>
      ))}
    </ul>
  );
}

function UploadStatus({ upload }: { readonly upload: Upload }) {
  const { t } = useTranslation();
  if (upload.failure !== null) return <small role="alert">{upload.failure}</small>;
  if (upload.info) return <small>{formatFileSize(upload.file.size)}</small>;
  return <progress value={upload.progress} max={1} aria-label={t('upload.progress', { name: upload.file.name })} />;
}
