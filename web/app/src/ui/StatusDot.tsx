import type { Presence } from '@confab/sdk';
import styles from './StatusDot.module.css';

/** A presence dot. The parent provides the accessible name. */
export function StatusDot({ status }: { readonly status: Presence['status'] }) {
  return <i className={`${styles.status} ${styles[status]}`} />;
}
