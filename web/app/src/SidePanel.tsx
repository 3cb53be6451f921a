import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { closePanel } from './panels';
import styles from './SidePanel.module.css';
import { IconButton } from './ui/Button';

/** A panel next to the timeline. */
export function SidePanel(props: { readonly title: string; readonly label: string; readonly children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <aside className={styles.panel} aria-label={props.label}>
      <header className={styles.header}>
        <h2>{props.title}</h2>
        <IconButton icon="close" label={t('close')} size={16} onClick={closePanel} />
      </header>
      <div className={styles.body}>{props.children}</div>
    </aside>
  );
}
