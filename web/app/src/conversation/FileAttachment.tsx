import type { FileInfo } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { downloadFile } from '../store/fileCache';
import { useChatStore } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { formatFileSize } from '../ui/files';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';
import styles from './Attachments.module.css';

/** Maximum size of a text that can be previewed, and how much of it is shown, in bytes and characters. */
const MAX_PREVIEWED_BYTES = 256 * 1024;
const MAX_SHOWN_LENGTH = 4_000;

/** How long the page that shows a file may take to load it, in milliseconds. */
const OPEN_TIME_MS = 60_000;

/** A file to download; a short text can be read in place, a PDF opened, and a recording played. */
export function FileAttachment(props: {
  readonly file: FileInfo;
  readonly play?: { readonly label: string; readonly run: () => void };
  readonly isBusy?: boolean;
}) {
  const { file, play, isBusy = false } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [text, setText] = useState<string | null>(null);
  const isText = file.mime_type.startsWith('text/') && file.size <= MAX_PREVIEWED_BYTES;
  const open = () => {
    // Opened by the click itself: later the browser would block it.
    const page = window.open('', '_blank');
    if (page) page.opener = null;
    return withToast(async () => {
      try {
        const blob = await chatStore.client.api.files.get(file.url);
        // As a PDF and as nothing else, whatever its bytes are.
        const url = URL.createObjectURL(new Blob([blob], { type: 'application/pdf' }));
        page?.location.replace(url);
        setTimeout(() => URL.revokeObjectURL(url), OPEN_TIME_MS);
      } catch (error) {
        page?.close();
        throw error;
      }
    });
  };
  const togglePreview = () =>
    withToast(async () => {
      if (text !== null) return setText(null);
      const blob = await chatStore.client.api.files.get(file.url);
      setText((await blob.text()).slice(0, MAX_SHOWN_LENGTH));
    });
  return (
    <div className={styles.fileBox}>
      <div className={styles.file}>
        <button
          type="button"
          className={styles.download}
          onClick={() => withToast(() => downloadFile(chatStore, file.url, file.filename))}
        >
          <Icon name="file" size={22} />
          <span>
            <strong dir="auto">{file.filename}</strong>
            <small>{formatFileSize(file.size)}</small>
          </span>
          <Icon name="down" size={16} />
        </button>
        {play && <IconButton icon="play" label={play.label} disabled={isBusy} onClick={play.run} />}
        {file.mime_type === 'application/pdf' && (
          <IconButton icon="open" label={t('file.open', { name: file.filename })} onClick={open} />
        )}
        {isText && (
          <IconButton
            icon="chevron"
            label={t('file.preview', { name: file.filename })}
            aria-expanded={text !== null}
            onClick={togglePreview}
          />
        )}
      </div>
      {text !== null && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
        <pre className={styles.preview} dir="auto" tabIndex={0}>
          {text}
        </pre>
      )}
    </div>
  );
}
