import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { attempt } from '../view';
import { useHouse } from '../world/use';
import styles from './Reactions.module.css';

/** What others, and one oneself, think of a message. */
export function Reactions({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const house = useHouse();
  if (message.reactions.length === 0) return null;
  return (
    <ul className={styles.reactions} aria-label={t('reaction.all')}>
      {message.reactions.map(({ emoji, count, me }) => (
        <li key={emoji}>
          <button
            type="button"
            className={styles.reaction}
            aria-pressed={me ?? false}
            aria-label={t('reaction.one', { emoji, count })}
            onClick={() => attempt(() => house.react(message, emoji))}
          >
            <span>{emoji}</span>
            {count}
          </button>
        </li>
      ))}
    </ul>
  );
}
