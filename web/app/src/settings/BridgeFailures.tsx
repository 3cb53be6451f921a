import type { FailedDelivery } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatFullTime, formatRelativeTime } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { usePages } from '../ui/usePages';
import { useUiStore } from '../uiStore';

/** What a bridge gave up to send, newest first. */
export function BridgeFailures({ bridgeId }: { readonly bridgeId: number }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const fetchFirst = useCallback(() => bridges.listFailures(bridgeId, { limit: 10 }), [bridges, bridgeId]);
  const fetchNext = useCallback((next: string) => bridges.listFailuresNext(bridgeId, next), [bridges, bridgeId]);
  const { items, error, isBusy, loadMore, reload } = usePages('', fetchFirst, fetchNext);
  const retry = (failure: FailedDelivery) =>
    withToast(async () => {
      await bridges.retry(bridgeId, failure.id);
      reload();
    });
  const open = ({ chat_id, message_id }: FailedDelivery) => {
    closeModal();
    navigate(message_id === null ? `/chats/${chat_id}` : `/chats/${chat_id}/${message_id}`);
  };
  return (
    <div className={styles.form}>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy} aria-label={t('bridges.failures')}>
        {items?.map((failure) => (
          <li key={failure.id} className={styles.row}>
            <div>
              <strong>{failure.error ?? failure.event_type}</strong>
              <p title={formatFullTime(failure.settled_at)}>{formatRelativeTime(failure.settled_at)}</p>
            </div>
            <Button onClick={() => open(failure)}>{t('bridges.openChat')}</Button>
            <Button onClick={() => retry(failure)}>{t('bridges.retry')}</Button>
          </li>
        ))}
        {items?.length === 0 && <li className={styles.empty}>{t('bridges.noFailures')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </div>
  );
}
