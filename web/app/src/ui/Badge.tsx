import styles from './Badge.module.css';

/** A short label beside a name. A warning tells that something does not work as usual. */
export function Badge({ children, isWarning }: { readonly children: string; readonly isWarning?: boolean }) {
  return (
    <em className={styles.badge} data-warning={isWarning}>
      {children}
    </em>
  );
}
