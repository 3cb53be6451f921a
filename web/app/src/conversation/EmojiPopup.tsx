import { Popover } from '@base-ui/react/popover';
import { useTranslation } from 'react-i18next';
import menuStyles from '../ui/Menu.module.css';
import { type Anchor, closePopup } from '../ui/popup';
import { createCloseHandler, getAnchor } from '../ui/popupAnchor';
import { EmojiPicker } from './EmojiPicker';

/** The emoji picker at an element or a point. */
export function EmojiPopup(props: { readonly anchor: Anchor; readonly onPick: (emoji: string) => void }) {
  const { t } = useTranslation();
  const pick = (emoji: string) => {
    closePopup();
    props.onPick(emoji);
  };
  return (
    <Popover.Root open onOpenChange={createCloseHandler(props.anchor)}>
      <Popover.Portal>
        <Popover.Positioner
          className={menuStyles.positioner}
          anchor={getAnchor(props.anchor)}
          sideOffset={6}
          align="end"
          collisionPadding={8}
        >
          <Popover.Popup className={menuStyles.popup} aria-label={t('emoji.pick')}>
            <EmojiPicker onPick={pick} />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
