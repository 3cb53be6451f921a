import { useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../ui/Button';
import { Side } from '../ui/Side';
import type { Frame } from '../world/frames';
import { chooseTransport, TRANSPORTS, transport } from '../world/transport';
import { useHouse, useWorld } from '../world/use';
import styles from './DebugPanel.module.css';

/** What comes over the wire, as it comes. */
export default function DebugPanel() {
  const { t } = useTranslation();
  const house = useHouse();
  const frames = useSyncExternalStore(house.frames.subscribe, house.frames.list);
  const state = useWorld(({ connection }) => connection.to);
  const last = frames.findLast(({ event }) => event !== null && 'at' in event);
  return (
    <Side title={t('debug.title')} label={t('debug.title')}>
      <dl className={styles.facts}>
        <dt>{t('debug.state')}</dt>
        <dd data-testid="state">{state}</dd>
        <dt>
          <label htmlFor="transport">{t('debug.transport')}</label>
        </dt>
        <dd>
          <select id="transport" value={transport()} onChange={(event) => chooseTransport(event.target.value)}>
            {TRANSPORTS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </dd>
        <dt>{t('debug.cursor')}</dt>
        <dd>{house.client.cursor ?? '–'}</dd>
        <dt>{t('debug.lag')}</dt>
        <dd>{last ? lagText(last) : '–'}</dd>
        <dt>{t('debug.count')}</dt>
        <dd>{house.frames.count}</dd>
      </dl>
      <Button className={styles.drop ?? ''} onClick={() => house.client.reconnect()}>
        {t('debug.drop')}
      </Button>
      <ol className={styles.frames}>
        {[...frames].reverse().map((frame) => (
          <li key={frame.nth} data-note={frame.event === null}>
            <details>
              <summary>
                <b>{frame.text}</b>
                {frame.event && 'id' in frame.event && <span>{frame.event.id}</span>}
                {frame.event && 'at' in frame.event && <i>{lagText(frame)}</i>}
              </summary>
              {frame.event && <pre>{JSON.stringify(frame.event, null, 1)}</pre>}
            </details>
          </li>
        ))}
      </ol>
    </Side>
  );
}

/** From the database's clock to this page's. */
function lagText({ at, event }: Frame): string {
  return event && 'at' in event ? `${at - Date.parse(event.at)} ms` : '';
}
