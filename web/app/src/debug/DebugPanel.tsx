import { useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { SidePanel } from '../SidePanel';
import type { Frame } from '../store/frameLog';
import { useChatState, useChatStore } from '../store/hooks';
import { getTransport, setTransport, TRANSPORTS } from '../store/transport';
import { Button } from '../ui/Button';
import styles from './DebugPanel.module.css';

/** Shows the connection state and the received frames live. */
export default function DebugPanel() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const frames = useSyncExternalStore(chatStore.frames.subscribe, chatStore.frames.list);
  const state = useChatState(({ connection }) => connection.to);
  const last = frames.findLast(({ event }) => event !== null && 'at' in event);
  return (
    <SidePanel title={t('debug.title')} label={t('debug.title')}>
      <dl className={styles.stats}>
        <dt>{t('debug.state')}</dt>
        <dd data-testid="state">{state}</dd>
        <dt>
          <label htmlFor="transport">{t('debug.transport')}</label>
        </dt>
        <dd>
          <select id="transport" value={getTransport()} onChange={(event) => setTransport(event.target.value)}>
            {TRANSPORTS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </dd>
        <dt>{t('debug.cursor')}</dt>
        <dd>{chatStore.client.cursor ?? '–'}</dd>
        <dt>{t('debug.lag')}</dt>
        <dd>{last ? formatLag(last) : '–'}</dd>
        <dt>{t('debug.frameCount')}</dt>
        <dd>{chatStore.frames.count}</dd>
      </dl>
      <Button className={styles.drop ?? ''} onClick={() => chatStore.client.reconnect()}>
        {t('debug.dropConnection')}
      </Button>
      <ol className={styles.frames}>
        {[...frames].reverse().map((frame) => (
          <li key={frame.index} data-note={frame.event === null}>
            <details>
              <summary>
                <b>{frame.text}</b>
                {frame.event && 'id' in frame.event && <span>{frame.event.id}</span>}
                {frame.event && 'at' in frame.event && <i>{formatLag(frame)}</i>}
              </summary>
              {frame.event && <pre>{JSON.stringify(frame.event, null, 1)}</pre>}
            </details>
          </li>
        ))}
      </ol>
    </SidePanel>
  );
}

/** Time from the database's clock to this page's clock. */
function formatLag({ at, event }: Frame): string {
  return event && 'at' in event ? `${at - Date.parse(event.at)} ms` : '';
}
