import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './SidePanel.module.css';
import { IconButton } from './ui/Button';
import { useUiStore } from './uiStore';

/** A panel next to the timeline. */
export function SidePanel(props: { readonly title: string; readonly label: string; readonly children: ReactNode }) {
  const { t } = useTranslation();
  const { panel, togglePanel } = useUiStore();
  return (
    <aside className={styles.panel} aria-label={props.label}>
      <header className={styles.header}>
        <h2>{props.title}</h2>
        {panel && <IconButton icon="close" label={t('close')} size={16} onClick={() => togglePanel(panel)} />}
      </header>
      <div className={styles.body}>{props.children}</div>
    </aside>
  );
}
