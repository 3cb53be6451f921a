import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { FormError } from '../ui/Field';
import { useList } from '../ui/useList';
import { ApiTokens } from './ApiTokens';
import { Bots } from './Bots';
import { Bridges } from './Bridges';
import { WebhookEndpoints } from './WebhookEndpoints';

/** The user's bots, API tokens, outgoing webhooks and bridges. */
export function Integrations() {
  const { t } = useTranslation();
  const { client } = useChatStore();
  const { api } = client;
  const bots = useList(api.bots.list);
  const tokens = useList(api.tokens.list);
  const endpoints = useList(api.webhookEndpoints.list);
  const bridges = useList(api.bridges.list);
  const { reload: reloadBridges } = bridges;
  // The state of a bridge changes while this is open.
  useEffect(() => client.on('bridge.updated', () => void reloadBridges()), [client, reloadBridges]);
  const reload = async () => {
    await Promise.all([bots.reload(), tokens.reload(), endpoints.reload(), bridges.reload()]);
  };
  return (
    <div className={styles.form} aria-busy={bots.isBusy || tokens.isBusy || endpoints.isBusy || bridges.isBusy}>
      <p className={styles.hint}>{t('integrations.hint')}</p>
      <FormError>{bots.error ?? tokens.error ?? endpoints.error ?? bridges.error}</FormError>
      <Bots bots={bots.items ?? []} onChange={reload} />
      <ApiTokens bots={bots.items ?? []} tokens={tokens.items ?? []} onChange={reload} />
      <WebhookEndpoints bots={bots.items ?? []} endpoints={endpoints.items ?? []} onChange={reload} />
      <Bridges bridges={bridges.items ?? []} onChange={reload} />
    </div>
  );
}
