import { Popover } from '@base-ui/react/popover';
import { type ReactElement, useState } from 'react';
import { useTranslation } from 'react-i18next';
import menuStyles from '../ui/Menu.module.css';
import { EmojiPicker } from './EmojiPicker';

/** The emoji picker in a popover, initially open. */
export default function EmojiPopover(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly onPick: (emoji: string) => void;
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  const { trigger, onPick, onOpenChange } = props;
  const { t } = useTranslation();
  const [isOpen, setIsOpen] = useState(true);
  const handleOpenChange = (next: boolean) => {
    setIsOpen(next);
    onOpenChange?.(next);
  };
  return (
    <Popover.Root open={isOpen} onOpenChange={handleOpenChange}>
      <Popover.Trigger render={trigger} />
      <Popover.Portal>
        <Popover.Positioner className={menuStyles.positioner} sideOffset={6} align="end" collisionPadding={8}>
          <Popover.Popup className={menuStyles.popup} aria-label={t('emoji.pick')}>
            <EmojiPicker
              onPick={(emoji) => {
                handleOpenChange(false);
                onPick(emoji);
              }}
            />
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
