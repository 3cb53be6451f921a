import type { ReactElement, ReactNode } from 'react';
import { Part } from './lazily';
import { OnDemand } from './OnDemand';

/** What an open menu is made of. */
export const menu = new Part(() => import('./OpenMenu'));
const OpenMenu = menu.component((part) => part.default);

/** One thing to do. */
export const MenuItem = menu.component((part) => part.MenuItem);

/** A line between groups of things. */
export const MenuLine = menu.component((part) => part.MenuLine);

/** A list of things to do, opened by a button. */
export function Menu(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly children: ReactNode;
  readonly align?: 'start' | 'end';
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <OnDemand trigger={props.trigger} popup="menu" onOpenChange={props.onOpenChange}>
      <OpenMenu {...props} />
    </OnDemand>
  );
}
