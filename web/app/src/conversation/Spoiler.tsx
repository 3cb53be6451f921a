import { type KeyboardEvent, type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './Markdown.module.css';

/** Text that is hidden until a click. */
export function Spoiler({ children }: { readonly children: ReactNode }) {
  const { t } = useTranslation();
  const [isShown, setIsShown] = useState(false);
  if (isShown) return <span className={styles.spoiler}>{children}</span>;
  const show = () => setIsShown(true);
  return (
    // biome-ignore lint/a11y/useSemanticElements: it may contain mentions, and no button contains another
    <span
      role="button"
      tabIndex={0}
      className={`${styles.spoiler} ${styles.spoilerHidden}`}
      aria-label={t('message.spoiler')}
      onClick={show}
      onKeyDown={({ key }: KeyboardEvent) => (key === 'Enter' || key === ' ') && show()}
    >
      {/* Kept in the layout, so that nothing moves when it is shown; not focusable and not read aloud. */}
      <span inert>{children}</span>
    </span>
  );
}
