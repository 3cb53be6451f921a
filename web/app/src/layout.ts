import { create } from 'zustand';

/** How many panes fit into the window: three, two with panels above them, or one. */
type Layout = 'wide' | 'narrow' | 'phone';

/** The smallest widths at which a layout fits. Style sheets use `data-layout` of the root element instead. */
const NARROW = matchMedia('(width > 48rem)');
const WIDE = matchMedia('(width > 64rem)');

const getLayout = (): Layout => (WIDE.matches ? 'wide' : NARROW.matches ? 'narrow' : 'phone');

/** The store of the layout. */
export const useLayout = create<{ readonly layout: Layout }>(() => ({ layout: getLayout() }));

/** Whether the window fits three panes, so that a panel covers nothing. */
export const isWide = () => useLayout.getState().layout === 'wide';

const update = () => {
  const layout = getLayout();
  document.documentElement.dataset.layout = layout;
  useLayout.setState({ layout });
};
update();
for (const query of [NARROW, WIDE]) query.addEventListener('change', update);
