import type { FileInfo } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFileUrl } from '../store/fileCache';
import styles from './Attachments.module.css';
import { FileAttachment } from './FileAttachment';

/** Maximum size of a recording that is played here, in bytes: it is loaded as a whole, because it is private. */
const MAX_PLAYED_BYTES = 64 * 1024 * 1024;

/** Whether a file can be played in the timeline. */
export function isPlayable({ mime_type, size }: FileInfo): boolean {
  return /^(?:audio|video)\//.test(mime_type) && size <= MAX_PLAYED_BYTES;
}

/** A sound or a video. It is loaded when it is played first. */
export function MediaAttachment({ file }: { readonly file: FileInfo }) {
  const { t } = useTranslation();
  const [isOpen, setIsOpen] = useState(false);
  const [isUnreadable, setIsUnreadable] = useState(false);
  const url = useFileUrl(isOpen ? file.url : null);
  const play = { label: t('file.play', { name: file.filename }), run: () => setIsOpen(true) };
  if (url === null || isUnreadable)
    return <FileAttachment file={file} {...(!isUnreadable && { play })} isBusy={isOpen} />;
  const player = { src: url, controls: true, autoPlay: true, 'aria-label': file.filename, className: styles.player };
  const onError = () => setIsUnreadable(true);
  return file.mime_type.startsWith('audio/') ? (
    <audio {...player} onError={onError} />
  ) : (
    <video {...player} onError={onError} />
  );
}
