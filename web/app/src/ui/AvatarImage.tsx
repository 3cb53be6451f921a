import type { Presence } from '@confab/sdk';
import type { CSSProperties } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './AvatarImage.module.css';
import { StatusDot } from './StatusDot';

/** Derives a stable hue from a name, in degrees. */
function getHue(name: string): number {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return hash;
}

/** Returns the first letters of the first and last word. */
function getInitials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined];
  return letters.map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('');
}

/** An image, or the initials of a name. Hidden from screen readers, because the name is next to it. */
export function AvatarImage(props: {
  readonly name: string;
  /** The text that determines the color. */
  readonly seed: string;
  readonly imageUrl?: string | null;
  readonly size?: number;
  readonly status?: Presence['status'] | undefined;
}) {
  const { name, seed, imageUrl, size = 36, status } = props;
  const { t } = useTranslation();
  return (
    <span className={styles.avatar} style={{ width: size, height: size, fontSize: size * 0.38 }}>
      {imageUrl ? (
        <img src={imageUrl} alt="" className={styles.image} />
      ) : (
        <span className={styles.image} style={{ '--hue': getHue(seed) } as CSSProperties} aria-hidden="true">
          {getInitials(name)}
        </span>
      )}
      {status && (
        <span className={styles.status} role="img" aria-label={t(`presence.${status}`)}>
          <StatusDot status={status} />
        </span>
      )}
    </span>
  );
}
