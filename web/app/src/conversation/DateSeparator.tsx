import { formatDay } from '../locales/time';
import { useToday } from '../locales/useToday';
import styles from './Message.module.css';

/** The day above its first message. "Today" becomes "Yesterday" at midnight. */
export function DateSeparator({ at }: { readonly at: string }) {
  useToday();
  return (
    <p className={styles.dateSeparator}>
      <span>{formatDay(at)}</span>
    </p>
  );
}
