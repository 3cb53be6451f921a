import type { DeliveryState, WebhookDelivery } from '@confab/sdk';
import { useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime, formatRelativeTime } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';

const STATES: readonly DeliveryState[] = ['waiting', 'delivered', 'dead'];

/** How often the list is loaded again while a delivery waits for its first attempt, in milliseconds. */
const RELOAD_MS = 3_000;

/** The deliveries to an endpoint of webhooks, newest first. */
export function Deliveries(props: { readonly endpointId: number; readonly canRetry: boolean }) {
  const { endpointId, canRetry } = props;
  const { t } = useTranslation();
  const { webhookEndpoints } = useChatStore().client.api;
  const [state, setState] = useState<DeliveryState | ''>('');
  const fetchFirst = useCallback(
    () => webhookEndpoints.listDeliveries(endpointId, { limit: 10, ...(state && { state }) }),
    [webhookEndpoints, endpointId, state],
  );
  const fetchNext = useCallback(
    (next: string) => webhookEndpoints.listDeliveriesNext(endpointId, next),
    [webhookEndpoints, endpointId],
  );
  const { items, error, isBusy, loadMore, reload } = usePages('', fetchFirst, fetchNext);
  const isWaiting = items?.some((delivery) => delivery.state === 'waiting' && delivery.attempts === 0) ?? false;
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setTimeout(reload, RELOAD_MS);
    return () => clearTimeout(timer);
  }, [isWaiting, reload]);
  const retry = (delivery: WebhookDelivery) =>
    withToast(async () => {
      await webhookEndpoints.retry(endpointId, delivery.id);
      reload();
    });
  const describe = (delivery: WebhookDelivery) =>
    [
      formatRelativeTime(delivery.created_at),
      t('endpoints.attempts', { count: delivery.attempts }),
      delivery.next_attempt_at &&
        delivery.attempts > 0 &&
        t('endpoints.nextAttempt', { time: formatRelativeTime(delivery.next_attempt_at) }),
      delivery.error,
    ]
      .filter(Boolean)
      .join(' · ');
  return (
    <div className={styles.form}>
      <SelectField
        label={t('endpoints.state')}
        value={state}
        onChange={(event) => setState(event.target.value as DeliveryState | '')}
      >
        <option value="">{t('endpoints.anyState')}</option>
        {STATES.map((one) => (
          <option key={one} value={one}>
            {t(`endpoints.states.${one}`)}
          </option>
        ))}
      </SelectField>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy} aria-label={t('endpoints.deliveries')}>
        {items?.map((delivery) => (
          <li key={delivery.id} className={styles.row}>
            <div>
              <strong>{delivery.event_type}</strong> <Badge>{t(`endpoints.states.${delivery.state}`)}</Badge>
              <p title={formatFullTime(delivery.created_at)}>{describe(delivery)}</p>
            </div>
            {canRetry && (delivery.state === 'dead' || delivery.attempts > 0) && (
              <Button onClick={() => retry(delivery)}>
                {delivery.state === 'delivered' ? t('endpoints.sendAgain') : t('endpoints.retry')}
              </Button>
            )}
          </li>
        ))}
        {items?.length === 0 && <li className={styles.empty}>{t('endpoints.noDeliveries')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </div>
  );
}
