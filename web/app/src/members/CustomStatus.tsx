import type { CustomStatus, User } from '@confab/sdk';
import { useEffect, useState } from 'react';
import styles from './CustomStatus.module.css';

/** The longest time that a browser can wait, in milliseconds. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The custom status of a user; null if there is none, or if it has ended. */
export function useCustomStatus(user: Pick<User, 'custom_status'> | undefined): CustomStatus | null {
  const status = user?.custom_status ?? null;
  const endsAt = status?.expires_at ? Date.parse(status.expires_at) : null;
  // Also renders again while the end is further away than a timer can wait.
  const [wokenAt, setWokenAt] = useState(0);
  useEffect(() => {
    const remaining = (endsAt ?? 0) - Date.now();
    if (remaining <= 0) return;
    const timer = setTimeout(() => setWokenAt(Date.now()), Math.min(remaining, MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  }, [endsAt, wokenAt]);
  return endsAt !== null && endsAt <= Date.now() ? null : status;
}

/** The emoji of a user's status beside the name; the text is its tooltip. */
export function CustomStatusEmoji({ user }: { readonly user: User | undefined }) {
  const status = useCustomStatus(user);
  if (!status?.emoji) return null;
  return (
    <span className={styles.emoji} role="img" aria-label={status.text} title={status.text}>
      {status.emoji}
    </span>
  );
}

/** The emoji and the text of a user's status. */
export function CustomStatusText({ user }: { readonly user: User }) {
  const status = useCustomStatus(user);
  if (!status) return null;
  return (
    <span className={styles.text} dir="auto">
      {status.emoji && `${status.emoji} `}
      {status.text}
    </span>
  );
}
