import type { Bridge } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { Secret } from '../ui/Secret';

/** What the owner of a bridge enters at the other network. */
export function WebhookSetup({ bridge }: { readonly bridge: Bridge }) {
  const { t } = useTranslation();
  return (
    <>
      <p className={styles.hint}>{t(`bridges.setUp.${bridge.network}`)}</p>
      <Secret text={`${location.origin}${bridge.webhook_path}`} hint={t(`bridges.webhookUrl.${bridge.network}`)} />
      {bridge.verify_token && <Secret text={bridge.verify_token} hint={t('bridges.verifyToken')} />}
    </>
  );
}
