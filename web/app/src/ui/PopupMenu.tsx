import { Menu } from '@base-ui/react/menu';
import { Icon } from './Icon';
import styles from './Menu.module.css';
import { type Anchor, closePopup, type MenuEntry } from './popup';
import { createCloseHandler, getAnchor } from './popupAnchor';

/** A menu at an element or a point. */
export function PopupMenu(props: {
  readonly label: string;
  readonly entries: readonly MenuEntry[];
  readonly anchor: Anchor;
}) {
  const { label, entries, anchor } = props;
  return (
    <Menu.Root modal={false} open onOpenChange={createCloseHandler(anchor)}>
      <Menu.Portal>
        <Menu.Positioner
          className={styles.positioner}
          anchor={getAnchor(anchor)}
          sideOffset={4}
          align={anchor instanceof Element ? 'end' : 'start'}
          collisionPadding={8}
        >
          <Menu.Popup className={styles.popup} aria-label={label}>
            {entries.map((entry, nth) =>
              entry === null ? (
                <Menu.Separator key={`separator ${nth}`} className={styles.separator} />
              ) : (
                <Menu.Item
                  key={entry.key}
                  className={`${styles.item} ${entry.isDangerous ? styles.dangerous : ''}`}
                  onClick={() => {
                    // Before, because the action may open another popup at the same place.
                    closePopup();
                    entry.run();
                  }}
                >
                  {entry.icon && <Icon name={entry.icon} size={18} />}
                  <span>{entry.label}</span>
                  {entry.shortcut && <kbd>{entry.shortcut}</kbd>}
                </Menu.Item>
              ),
            )}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
