import styles from './Badge.module.css';

/** A short label beside a name. */
export function Badge({ children }: { readonly children: string }) {
  return <em className={styles.badge}>{children}</em>;
}
