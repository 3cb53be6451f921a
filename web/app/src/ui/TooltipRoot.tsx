import { Tooltip } from '@base-ui/react/tooltip';
import { useEffect, useState } from 'react';
import styles from './Tooltip.module.css';

/** How long the pointer rests until a tooltip opens, in milliseconds. */
const DELAY_MS = 400;

/** After a tooltip has closed, the next one opens at once for this long, in milliseconds. */
const WARM_MS = 300;

interface ShownTooltip {
  readonly element: HTMLElement;
  readonly text: string;
  readonly shortcut: string | undefined;
}

/** Shows the tooltip of the element under the pointer, or with the focus of the keyboard: its `data-tooltip`. */
export default function TooltipRoot() {
  const tooltip = useTooltip();
  if (!tooltip) return null;
  return (
    <Tooltip.Root open>
      <Tooltip.Portal>
        <Tooltip.Positioner className={styles.positioner} anchor={tooltip.element} sideOffset={6} collisionPadding={6}>
          {/* The element has a name of its own. */}
          <Tooltip.Popup className={styles.popup} aria-hidden="true">
            {tooltip.text}
            {tooltip.shortcut && <kbd>{tooltip.shortcut}</kbd>}
          </Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}

function useTooltip(): ShownTooltip | null {
  const [tooltip, setTooltip] = useState<ShownTooltip | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let current: HTMLElement | null = null;
    let closedAt = 0;
    const read = (element: HTMLElement) => {
      const { tooltip: text, shortcut } = element.dataset;
      if (text && element.isConnected) setTooltip({ element, text, shortcut });
    };
    // Some texts are loaded while the pointer rests.
    const observer = new MutationObserver(() => current && read(current));
    const show = (element: HTMLElement) => {
      read(element);
      observer.observe(element, { attributeFilter: ['data-tooltip'] });
    };
    const hide = () => {
      clearTimeout(timer);
      observer.disconnect();
      if (current) closedAt = Date.now();
      current = null;
      setTooltip(null);
    };
    const onPointerOver = ({ target, pointerType }: PointerEvent) => {
      const element = (target as Element).closest?.<HTMLElement>('[data-tooltip]') ?? null;
      if (element === current || pointerType === 'touch') return;
      hide();
      current = element;
      if (element) timer = setTimeout(() => show(element), Date.now() - closedAt < WARM_MS ? 0 : DELAY_MS);
    };
    const onFocusIn = ({ target }: FocusEvent) => {
      const element = target as HTMLElement;
      if (!element.dataset?.tooltip || !element.matches(':focus-visible')) return;
      hide();
      current = element;
      show(element);
    };
    const onKeyDown = ({ key }: KeyboardEvent) => key === 'Escape' && hide();
    // The pointer may already rest on an element.
    const hovered = document.querySelector<HTMLElement>('[data-tooltip]:hover');
    if (hovered) {
      current = hovered;
      timer = setTimeout(() => show(hovered), DELAY_MS);
    }
    document.addEventListener('pointerover', onPointerOver);
    document.addEventListener('pointerdown', hide);
    document.addEventListener('focusin', onFocusIn);
    document.addEventListener('focusout', hide);
    document.addEventListener('scroll', hide, true);
    document.addEventListener('keydown', onKeyDown, true);
    return () => {
      hide();
      document.removeEventListener('pointerover', onPointerOver);
      document.removeEventListener('pointerdown', hide);
      document.removeEventListener('focusin', onFocusIn);
      document.removeEventListener('focusout', hide);
      document.removeEventListener('scroll', hide, true);
      document.removeEventListener('keydown', onKeyDown, true);
    };
  }, []);
  return tooltip;
}
