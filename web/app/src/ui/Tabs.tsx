import { Tabs as Base } from '@base-ui/react/tabs';
import type { ReactNode } from 'react';
import styles from './Tabs.module.css';

/** Tabs of a dialog. */
export function Tabs(props: {
  readonly label: string;
  readonly tabs: readonly { readonly name: string; readonly body: ReactNode }[];
}) {
  const { label, tabs } = props;
  return (
    <Base.Root defaultValue={tabs[0]?.name} className={styles.tabs} orientation="vertical">
      <Base.List className={styles.list} aria-label={label} activateOnFocus>
        {tabs.map(({ name }) => (
          <Base.Tab key={name} value={name} className={styles.tab}>
            {name}
          </Base.Tab>
        ))}
      </Base.List>
      {tabs.map(({ name, body }) => (
        <Base.Panel key={name} value={name} className={styles.panel}>
          {body}
        </Base.Panel>
      ))}
    </Base.Root>
  );
}
