import type { User, WebhookEndpoint, WebhookEventType } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button, IconButton } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { Secret } from '../ui/Secret';
import { showToast, withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import { Deliveries } from './Deliveries';

/** The types of events that the form offers together. */
const EVENT_GROUPS = {
  messages: ['message.new', 'message.updated', 'message.deleted'],
  reactions: ['reaction.added', 'reaction.removed'],
  receipts: ['message.delivered', 'message.read'],
  pins: ['message.pinned', 'message.unpinned'],
  members: ['member.joined', 'member.left', 'member.updated'],
  chats: ['chat.new', 'chat.added', 'chat.removed', 'chat.updated', 'chat.deleted', 'chat.trimmed'],
} as const satisfies Record<string, readonly WebhookEventType[]>;

type EventGroup = keyof typeof EVENT_GROUPS;
const GROUPS = Object.keys(EVENT_GROUPS) as readonly EventGroup[];

/** The endpoints to which events are sent, and a form for a new one. */
export function WebhookEndpoints(props: {
  readonly bots: readonly User[];
  readonly endpoints: readonly WebhookEndpoint[];
  readonly onChange: () => Promise<void>;
}) {
  const { bots, endpoints, onChange } = props;
  const { t } = useTranslation();
  const [secret, setSecret] = useState<string | null>(null);
  return (
    <section className={styles.form} aria-label={t('endpoints.title')}>
      <h3>{t('endpoints.title')}</h3>
      <p className={styles.hint}>{t('endpoints.hint')}</p>
      <ul>
        {endpoints.map((endpoint) => (
          <EndpointRow key={endpoint.id} endpoint={endpoint} bots={bots} onChange={onChange} onSecret={setSecret} />
        ))}
      </ul>
      <NewEndpoint bots={bots} onChange={onChange} onSecret={setSecret} />
      {secret && <Secret text={secret} hint={t('endpoints.secretOnce')} />}
    </section>
  );
}

function EndpointRow(props: {
  readonly endpoint: WebhookEndpoint;
  readonly bots: readonly User[];
  readonly onChange: () => Promise<void>;
  readonly onSecret: (secret: string) => void;
}) {
  const { endpoint, bots, onChange, onSecret } = props;
  const { t } = useTranslation();
  const { webhookEndpoints } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const [showsDeliveries, setShowsDeliveries] = useState(false);
  const [deliveriesKey, setDeliveriesKey] = useState(0);
  const bot = bots.find((one) => one.id === endpoint.user_id);
  const details = [
    bot ? getDisplayName(bot) : t('integrations.myself'),
    endpoint.event_types ? endpoint.event_types.join(' ') : t('endpoints.allEvents'),
    endpoint.chat_ids && t('endpoints.chats', { count: endpoint.chat_ids.length }),
  ];
  const apply = (action: () => Promise<unknown>) =>
    withToast(async () => {
      await action();
      await onChange();
    });
  const test = () =>
    withToast(async () => {
      await webhookEndpoints.sendTest(endpoint.id);
      showToast(t('endpoints.testSent'));
      setShowsDeliveries(true);
      setDeliveriesKey((now) => now + 1);
    });
  const isEnabled = endpoint.disabled_reason === null;
  return (
    <li>
      <div className={styles.row}>
        <div>
          <strong>{endpoint.url}</strong>{' '}
          {endpoint.disabled_reason ? (
            <Badge>{t('endpoints.disabled')}</Badge>
          ) : (
            endpoint.failing_since && <Badge>{t('endpoints.failing')}</Badge>
          )}
          <p>{details.filter(Boolean).join(' · ')}</p>
          {endpoint.disabled_reason && <p>{t(`endpoints.reasons.${endpoint.disabled_reason}`)}</p>}
        </div>
        <Menu align="end" trigger={<IconButton icon="more" label={t('endpoints.actions', { url: endpoint.url })} />}>
          <MenuItem onClick={() => setShowsDeliveries((now) => !now)}>
            {showsDeliveries ? t('endpoints.hideDeliveries') : t('endpoints.showDeliveries')}
          </MenuItem>
          {isEnabled && <MenuItem onClick={test}>{t('endpoints.test')}</MenuItem>}
          <MenuItem onClick={() => apply(() => webhookEndpoints.update(endpoint.id, { is_enabled: !isEnabled }))}>
            {isEnabled ? t('endpoints.disable') : t('endpoints.enable')}
          </MenuItem>
          <MenuItem
            onClick={() => withToast(async () => onSecret((await webhookEndpoints.rotateSecret(endpoint.id)).secret))}
          >
            {t('endpoints.rotate')}
          </MenuItem>
          <MenuItem
            isDangerous
            onClick={() =>
              openModal({
                kind: 'confirm',
                title: t('endpoints.delete'),
                text: t('endpoints.deleteConfirm', { url: endpoint.url }),
                confirmLabel: t('endpoints.delete'),
                action: async () => {
                  await webhookEndpoints.delete(endpoint.id);
                  await onChange();
                },
              })
            }
          >
            {t('endpoints.delete')}
          </MenuItem>
        </Menu>
      </div>
      {showsDeliveries && <Deliveries key={deliveriesKey} endpointId={endpoint.id} canRetry={isEnabled} />}
    </li>
  );
}

function NewEndpoint(props: {
  readonly bots: readonly User[];
  readonly onChange: () => Promise<void>;
  readonly onSecret: (secret: string) => void;
}) {
  const { bots, onChange, onSecret } = props;
  const { t } = useTranslation();
  const { webhookEndpoints } = useChatStore().client.api;
  const me = useChatState((state) => state.me.id);
  const { error, run } = useAction();
  const [url, setUrl] = useState('');
  const [userId, setUserId] = useState(me);
  const [groups, setGroups] = useState<readonly EventGroup[]>(['messages']);

  const toggle = (group: EventGroup) =>
    setGroups((now) => (now.includes(group) ? now.filter((one) => one !== group) : [...now, group]));
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { secret } = await webhookEndpoints.create({
        url: url.trim(),
        ...(userId !== me && { bot_id: userId }),
        ...(groups.length < GROUPS.length && { event_types: groups.flatMap((group) => [...EVENT_GROUPS[group]]) }),
      });
      onSecret(secret);
      setUrl('');
      await onChange();
    });
  };
  return (
    <form className={styles.form} onSubmit={create}>
      <Field
        label={t('endpoints.url')}
        value={url}
        onChange={(event) => setUrl(event.target.value)}
        type="url"
        placeholder="https://"
        maxLength={2000}
        autoComplete="off"
        required
      />
      {bots.length > 0 && (
        <SelectField
          label={t('endpoints.eventsOf')}
          value={userId}
          onChange={(event) => setUserId(Number(event.target.value))}
        >
          <option value={me}>{t('integrations.myself')}</option>
          {bots.map((bot) => (
            <option key={bot.id} value={bot.id}>
              {getDisplayName(bot)}
            </option>
          ))}
        </SelectField>
      )}
      <fieldset className={styles.choices} aria-label={t('endpoints.events')}>
        {GROUPS.map((group) => (
          <label key={group}>
            <input type="checkbox" checked={groups.includes(group)} onChange={() => toggle(group)} />
            {t(`endpoints.groups.${group}`)}
          </label>
        ))}
      </fieldset>
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" disabled={groups.length === 0}>
          {t('endpoints.create')}
        </Button>
      </div>
    </form>
  );
}
