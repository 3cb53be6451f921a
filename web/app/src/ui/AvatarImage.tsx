import type { Presence } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import styles from './AvatarImage.module.css';
import { StatusDot } from './StatusDot';

/** Colors that differ from each other, each dark enough for white text. */
const COLORS = [
  '#8a3b3b',
  '#9a5a1f',
  '#77681a',
  '#4d7327',
  '#2b7350',
  '#1f7073',
  '#2a678f',
  '#3b549c',
  '#5d4aa3',
  '#83418f',
  '#97396b',
  '#5f6470',
] as const;

/** Derives a stable color from a name. */
function getColor(name: string): string {
  // FNV-1a: names that differ in one letter get different colors.
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return COLORS[(hash >>> 15) % COLORS.length] ?? COLORS[0];
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
        <span className={styles.image} style={{ background: getColor(seed) }} aria-hidden="true">
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
