import { lazy, type ReactElement, type ReactNode } from 'react';
import { OnDemand } from './OnDemand';

const load = () => import('./OpenMenu');
const OpenMenu = lazy(load);

/** One thing to do. */
export const MenuItem = lazy(() => load().then((menu) => ({ default: menu.MenuItem })));

/** A line between groups of things. */
export const MenuLine = lazy(() => load().then((menu) => ({ default: menu.MenuLine })));

/** A list of things to do, opened by a button. */
export function Menu(props: {
  readonly trigger: ReactElement<Record<string, unknown>>;
  readonly children: ReactNode;
  readonly align?: 'start' | 'end';
  readonly onOpenChange?: (isOpen: boolean) => void;
}) {
  return (
    <OnDemand trigger={props.trigger} popup="menu" onWanted={() => props.onOpenChange?.(true)}>
      <OpenMenu {...props} />
    </OnDemand>
  );
}
