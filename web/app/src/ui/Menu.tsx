import type { ReactElement, ReactNode } from 'react';
import { LazyPopup } from './LazyPopup';
import { LazyModule } from './lazyWithRetry';

/** The chunk with the menu components. */
export const menuModule = new LazyModule(() => import('./OpenMenu'));
const OpenMenu = menuModule.component((part) => part.default);

/** A menu item. */
export const MenuItem = menuModule.component((part) => part.MenuItem);

/** A separator between groups of items. */
export const MenuSeparator = menuModule.component((part) => part.MenuSeparator);

/** A menu that is opened by a button. */
export function Menu(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly children: ReactNode;
  readonly align?: 'start' | 'end';
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <LazyPopup trigger={props.trigger} popup="menu" onOpenChange={props.onOpenChange}>
      <OpenMenu {...props} />
    </LazyPopup>
  );
}
