import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { withToast } from '../ui/toast';
import styles from './Reactions.module.css';

/** The reactions to a message, with a toggle for each. */
export function Reactions({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
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
            onClick={() => withToast(() => chatStore.toggleReaction(message, emoji))}
          >
            <span>{emoji}</span>
            {count}
          </button>
        </li>
      ))}
    </ul>
  );
}
