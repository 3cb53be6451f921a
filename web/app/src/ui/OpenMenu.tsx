import { Menu as Base } from '@base-ui/react/menu';
import type { ReactElement, ReactNode } from 'react';
import { Icon, type IconName } from './Icon';
import styles from './Menu.module.css';

/** A menu with its button, initially open. */
export default function OpenMenu(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly children: ReactNode;
  readonly align?: 'start' | 'end';
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <Base.Root modal={false} defaultOpen onOpenChange={(isOpen) => props.onOpenChange?.(isOpen)}>
      <Base.Trigger render={props.trigger} />
      <Base.Portal>
        <Base.Positioner
          className={styles.positioner}
          sideOffset={6}
          align={props.align ?? 'start'}
          collisionPadding={8}
        >
          <Base.Popup className={styles.popup}>{props.children}</Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

/** A menu item. */
export function MenuItem(props: {
  readonly icon?: IconName;
  readonly children: ReactNode;
  readonly isDangerous?: boolean;
  readonly onClick: () => void;
}) {
  return (
    <Base.Item className={`${styles.item} ${props.isDangerous ? styles.dangerous : ''}`} onClick={props.onClick}>
      {props.icon && <Icon name={props.icon} size={18} />}
      {props.children}
    </Base.Item>
  );
}

/** A separator between groups of items. */
export function MenuSeparator() {
  return <Base.Separator className={styles.separator} />;
}
