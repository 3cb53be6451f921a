import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { Button } from '../ui/Button';
import { Refusal } from '../ui/Field';
import { useList } from '../ui/useList';
import { ago } from '../words/time';
import { useHouse } from '../world/use';

/** Where one is signed in. */
export function Sessions() {
  const { t } = useTranslation();
  const { me } = useHouse().client.api;
  const { items, refusal, isBusy, takeOut } = useList(me.sessions);
  if (refusal) return <Refusal>{refusal}</Refusal>;
  return (
    <ul aria-busy={isBusy}>
      {items?.map((one) => (
        <li key={one.id} className={styles.row}>
          <div>
            <strong>{one.current ? t('settings.thisOne') : deviceOf(one.user_agent)}</strong>
            <p>
              {one.current && `${deviceOf(one.user_agent)} · `}
              {t('settings.used', { ago: ago(one.used_at) })}
            </p>
          </div>
          {!one.current && (
            <Button onClick={() => takeOut(one, () => me.endSession(one.id))}>{t('settings.end')}</Button>
          )}
        </li>
      ))}
    </ul>
  );
}

/** What a browser calls itself, in two words. */
function deviceOf(agent: string): string {
  const program = /(Edg|OPR|Firefox|Chrome|Safari)\//.exec(agent)?.[1] ?? agent.split(/[ /]/)[0] ?? '';
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent)?.[1];
  return [program.replace('Edg', 'Edge').replace('OPR', 'Opera'), system].filter(Boolean).join(', ') || '?';
}
