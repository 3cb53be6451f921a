import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useView } from '../view';
import { IconButton } from './Button';
import styles from './Side.module.css';

/** What stands beside the timeline. */
export function Side(props: { readonly title: string; readonly label: string; readonly children: ReactNode }) {
  const { t } = useTranslation();
  const { panel, toggle } = useView();
  return (
    <aside className={styles.side} aria-label={props.label}>
      <header className={styles.header}>
        <h2>{props.title}</h2>
        {panel && <IconButton icon="close" label={t('close')} size={16} onClick={() => toggle(panel)} />}
      </header>
      <div className={styles.body}>{props.children}</div>
    </aside>
  );
}
