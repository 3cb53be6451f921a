import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { showToast } from '../ui/toast';

/** Tells the user when the server disables one of their endpoints of webhooks, or a bridge stops. */
export function useIntegrationNotices() {
  const { client } = useChatStore();
  const { t } = useTranslation();
  useEffect(() => {
    const stops = [
      client.on('webhook_endpoint.disabled', ({ url }) => showToast(t('endpoints.disabledNotice', { url }))),
      client.on('bridge.updated', ({ name, state, detail }) => {
        if (state === 'stopped' || (state === 'disabled' && detail !== 'owner'))
          showToast(t('bridges.stoppedNotice', { name }));
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [client, t]);
}
