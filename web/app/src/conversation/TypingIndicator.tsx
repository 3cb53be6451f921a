import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getDisplayName, useChatState } from '../store/hooks';
import styles from './Timeline.module.css';

/** The users who are typing. */
export function TypingIndicator({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const [now, setNow] = useState(Date.now);
  const entries = useChatState(({ typing, me, blockedUserIds }) =>
    [...(typing.get(chatId) ?? [])].filter(([id]) => id !== me.id && !blockedUserIds.has(id)).flat(),
  );
  const activeIds = entries.flatMap((id, index) => (index % 2 === 0 && (entries[index + 1] ?? 0) > now ? [id] : []));
  const names = useChatState(({ users }) => activeIds.map((id) => getDisplayName(users.get(id))));
  useEffect(() => {
    if (entries.length === 0) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [entries]);
  const [one, two] = names;
  return (
    <p className={styles.typing}>
      {names.length > 0 && (
        <>
          <span className={styles.dots} aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {names.length === 1 && t('typing.one', { one })}
          {names.length === 2 && t('typing.two', { one, two })}
          {names.length > 2 && t('typing.many')}
        </>
      )}
    </p>
  );
}
