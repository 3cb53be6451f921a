import type { Presence } from '@confab/sdk';
import styles from './StatusDot.module.css';

/** How somebody is seen, as a dot; what it means is said beside it. */
export function StatusDot({ status }: { readonly status: Presence['status'] }) {
  return <i className={`${styles.status} ${styles[status]}`} />;
}
