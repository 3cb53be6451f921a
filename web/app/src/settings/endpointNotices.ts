import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { showToast } from '../ui/toast';

/** Tells the user when the server disables one of their endpoints of webhooks. */
export function useEndpointNotices() {
  const { client } = useChatStore();
  const { t } = useTranslation();
  useEffect(
    () => client.on('webhook_endpoint.disabled', ({ url }) => showToast(t('endpoints.disabledNotice', { url }))),
    [client, t],
  );
}
