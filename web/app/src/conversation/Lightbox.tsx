import { Dialog } from '@base-ui/react/dialog';
import type { FileInfo } from '@confab/sdk';
import { type KeyboardEvent, type PointerEvent, useRef, useState, type WheelEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { downloadFile, useFileUrl } from '../store/fileCache';
import { useChatStore } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { withToast } from '../ui/toast';
import styles from './Lightbox.module.css';

/** How much larger than the window an image can be, and one step. */
const MAX_ZOOM = 8;
const ZOOM_STEP = 1.5;

/** The zoom of a click, and of one click more: the whole image again. */
const CLICK_ZOOM = 2.5;

/** A pointer that moves further than this drags the image, in pixels. */
const DRAG_THRESHOLD_PX = 4;

/** A full-window image viewer. The arrow keys move between the images of the message; plus, minus and 0 zoom. */
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
  const { zoom, setZoom, stageRef, stageProps } = useZoom(image.id, onClose);
  const step = (delta: number) => {
    const next = images[(images.indexOf(image) + delta + images.length) % images.length];
    if (next) onSelect(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === '+' || event.key === '=') setZoom(zoom * ZOOM_STEP);
    if (event.key === '-') setZoom(zoom / ZOOM_STEP);
    if (event.key === '0') setZoom(1);
  };
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={image.filename} onKeyDown={onKeyDown}>
          <header className={styles.header}>
            <span>{image.filename}</span>
            <IconButton
              icon="minus"
              label={t('file.zoomOut')}
              disabled={zoom === 1}
              onClick={() => setZoom(zoom / ZOOM_STEP)}
            />
            <IconButton
              icon="add"
              label={t('file.zoomIn')}
              disabled={zoom === MAX_ZOOM}
              onClick={() => setZoom(zoom * ZOOM_STEP)}
            />
            <IconButton
              icon="down"
              label={t('file.save')}
              onClick={() => withToast(() => downloadFile(chatStore, image.url, image.filename))}
            />
            <Dialog.Close render={<IconButton icon="close" label={t('close')} />} />
          </header>
          <div ref={stageRef} className={styles.stage} data-zoomed={zoom > 1} {...stageProps}>
            {imageUrl && (
              <img
                src={imageUrl}
                alt={image.filename}
                draggable={false}
                style={zoom > 1 ? { width: `${zoom * 100}%` } : undefined}
              />
            )}
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** Zooms by click and by wheel, and drags what is larger than the window. A click beside the image closes the viewer. */
function useZoom(imageId: number, onClose: () => void) {
  const [{ zoom, zoomedId }, setState] = useState({ zoom: 1, zoomedId: imageId });
  const stageRef = useRef<HTMLDivElement>(null);
  const drag = useRef({ x: 0, y: 0, isDrag: false });
  const setZoom = (next: number) => setState({ zoom: Math.min(Math.max(next, 1), MAX_ZOOM), zoomedId: imageId });
  // Another image is shown whole.
  const shownZoom = zoomedId === imageId ? zoom : 1;
  const stageProps = {
    onPointerDown: ({ clientX: x, clientY: y }: PointerEvent) => {
      drag.current = { x, y, isDrag: false };
    },
    onPointerMove: ({ clientX: x, clientY: y, buttons, pointerType }: PointerEvent) => {
      // A finger scrolls by itself.
      if (buttons !== 1 || pointerType === 'touch') return;
      const { x: fromX, y: fromY, isDrag } = drag.current;
      if (!isDrag && Math.hypot(x - fromX, y - fromY) < DRAG_THRESHOLD_PX) return;
      stageRef.current?.scrollBy(fromX - x, fromY - y);
      drag.current = { x, y, isDrag: true };
    },
    onClick: ({ target }: { readonly target: EventTarget }) => {
      if (drag.current.isDrag) return;
      if (target instanceof HTMLImageElement) setZoom(shownZoom > 1 ? 1 : CLICK_ZOOM);
      else onClose();
    },
    onWheel: ({ deltaY, ctrlKey }: WheelEvent) => {
      if (shownZoom > 1 && !ctrlKey) return;
      setZoom(shownZoom * (deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP));
    },
  };
  return { zoom: shownZoom, setZoom, stageRef, stageProps };
}
