import type { ReactElement, ReactNode } from 'react';
import { lazily } from './lazily';
import { OnDemand } from './OnDemand';

const load = () => import('./OpenMenu');
const OpenMenu = lazily(() => load().then((menu) => menu.default));

/** One thing to do. */
export const MenuItem = lazily(() => load().then((menu) => menu.MenuItem));

/** A line between groups of things. */
export const MenuLine = lazily(() => load().then((menu) => menu.MenuLine));

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
