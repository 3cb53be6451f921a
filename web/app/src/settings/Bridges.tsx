import type { Bridge } from '@confab/sdk';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { IconButton } from '../ui/Button';
import { Menu, MenuItem } from '../ui/Menu';
import { withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { BridgeChats } from './BridgeChats';
import { BridgeFailures } from './BridgeFailures';
import { BridgeSettings } from './BridgeSettings';
import { NewBridgeForm } from './NewBridgeForm';
import { NewRemoteUserForm } from './NewRemoteUserForm';
import { NewSpaceForm } from './NewSpaceForm';

/** The user's bridges to other networks, and a form for a new one. */
export function Bridges(props: { readonly bridges: readonly Bridge[]; readonly onChange: () => Promise<void> }) {
  const { bridges, onChange } = props;
  const { t } = useTranslation();
  return (
    <section className={styles.form} aria-label={t('bridges.title')}>
      <h3>{t('bridges.title')}</h3>
      <p className={styles.hint}>{t('bridges.hint')}</p>
      <ul>
        {bridges.map((bridge) => (
          <BridgeRow key={bridge.id} bridge={bridge} onChange={onChange} />
        ))}
      </ul>
      <NewBridgeForm isFirst={bridges.length === 0} onChange={onChange} />
    </section>
  );
}

function BridgeRow({ bridge, onChange }: { readonly bridge: Bridge; readonly onChange: () => Promise<void> }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const [view, setView] = useState<'settings' | 'chats' | 'failures' | null>(null);
  const toggle = (next: 'settings' | 'chats' | 'failures') => setView((now) => (now === next ? null : next));
  const apply = (action: () => Promise<unknown>) =>
    withToast(async () => {
      await action();
      await onChange();
    });
  const isEnabled = bridge.state !== 'disabled';
  const details = [
    t(`networks.${bridge.network}`),
    bridge.profile &&
      (bridge.profile.phone_number ? `${bridge.profile.phone_number} (${bridge.profile.name})` : bridge.profile.name),
    bridge.network === 'whatsapp' && t('bridges.templates', { count: bridge.templates.length }),
    bridge.failed_webhooks > 0 && t('bridges.failedWebhooks', { count: bridge.failed_webhooks }),
  ];
  return (
    <li>
      <div className={styles.row}>
        <div>
          <strong>{bridge.name}</strong>{' '}
          <Badge isWarning={bridge.state !== 'connected'}>{t(`bridges.states.${bridge.state}`)}</Badge>
          <p>{details.filter(Boolean).join(' · ')}</p>
          {bridge.state_detail && (
            <p>
              {isEnabled
                ? bridge.state_detail
                : t(`bridges.details.${bridge.state_detail}`, { defaultValue: bridge.state_detail })}
            </p>
          )}
        </div>
        <Menu align="end" trigger={<IconButton icon="more" label={t('bridges.actions', { name: bridge.name })} />}>
          <MenuItem onClick={() => toggle('settings')}>
            {view === 'settings' ? t('bridges.hideEdit') : t('bridges.edit')}
          </MenuItem>
          <MenuItem onClick={() => toggle('chats')}>
            {view === 'chats' ? t('bridges.hideChats') : t('bridges.showChats')}
          </MenuItem>
          <MenuItem onClick={() => toggle('failures')}>
            {view === 'failures' ? t('bridges.hideFailures') : t('bridges.showFailures')}
          </MenuItem>
          {bridge.state === 'stopped' && (
            <MenuItem onClick={() => apply(() => bridges.update(bridge.id, { is_enabled: true }))}>
              {t('bridges.tryAgain')}
            </MenuItem>
          )}
          <MenuItem onClick={() => apply(() => bridges.update(bridge.id, { is_enabled: !isEnabled }))}>
            {isEnabled ? t('bridges.disable') : t('bridges.enable')}
          </MenuItem>
          <MenuItem
            isDangerous
            onClick={() =>
              openModal({
                kind: 'confirm',
                title: t('bridges.delete'),
                text: t('bridges.deleteConfirm', { name: bridge.name }),
                confirmLabel: t('bridges.delete'),
                action: async () => {
                  await bridges.delete(bridge.id);
                  await onChange();
                },
              })
            }
          >
            {t('bridges.delete')}
          </MenuItem>
        </Menu>
      </div>
      {view === 'settings' && <BridgeSettings bridge={bridge} onChange={onChange} />}
      {view === 'chats' && <BridgeChats bridgeId={bridge.id} />}
      {view === 'failures' && <BridgeFailures bridgeId={bridge.id} />}
      {bridge.state === 'connected' && bridge.network === 'whatsapp' && <NewRemoteUserForm bridge={bridge} />}
      {bridge.state === 'connected' && bridge.network === 'google_chat' && <NewSpaceForm bridge={bridge} />}
    </li>
  );
}
