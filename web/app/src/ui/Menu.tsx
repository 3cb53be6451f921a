import type { ReactElement, ReactNode } from 'react';
import { LazyPopup } from './LazyPopup';
import { LazyModule } from './lazyWithRetry';

/** What an open menu is made of. */
export const menuModule = new LazyModule(() => import('./OpenMenu'));
const OpenMenu = menuModule.component((part) => part.default);

/** One thing to do. */
export const MenuItem = menuModule.component((part) => part.MenuItem);

/** A line between groups of things. */
export const MenuSeparator = menuModule.component((part) => part.MenuSeparator);

/** A list of things to do, opened by a button. */
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
