import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { nameOf, useWorld } from '../world/use';
import styles from './Timeline.module.css';

/** The people who are typing. */
export function Typing({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const [now, setNow] = useState(Date.now);
  const until = useWorld(({ typing, me }) => [...(typing.get(chatId) ?? [])].filter(([id]) => id !== me.id).flat());
  const active = until.flatMap((id, nth) => (nth % 2 === 0 && (until[nth + 1] ?? 0) > now ? [id] : []));
  const names = useWorld(({ people }) => active.map((id) => nameOf(people.get(id))));
  useEffect(() => {
    if (until.length === 0) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [until]);
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
