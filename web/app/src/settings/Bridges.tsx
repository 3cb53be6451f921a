import type { Bridge } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button, IconButton } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { Secret } from '../ui/Secret';
import { withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import { BridgeFailures } from './BridgeFailures';
import { BridgeSettings } from './BridgeSettings';

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
      <NewBridge onChange={onChange} />
    </section>
  );
}

function BridgeRow({ bridge, onChange }: { readonly bridge: Bridge; readonly onChange: () => Promise<void> }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const openModal = useUiStore((ui) => ui.openModal);
  const [view, setView] = useState<'settings' | 'failures' | null>(null);
  const toggle = (next: 'settings' | 'failures') => setView((now) => (now === next ? null : next));
  const apply = (action: () => Promise<unknown>) =>
    withToast(async () => {
      await action();
      await onChange();
    });
  const isEnabled = bridge.state !== 'disabled';
  const details = [
    t(`networks.${bridge.network}`),
    bridge.profile && `${bridge.profile.phone_number} (${bridge.profile.name})`,
    t('bridges.templates', { count: bridge.templates.length }),
    bridge.failed_webhooks > 0 && t('bridges.failedWebhooks', { count: bridge.failed_webhooks }),
  ];
  return (
    <li>
      <div className={styles.row}>
        <div>
          <strong>{bridge.name}</strong> <Badge>{t(`bridges.states.${bridge.state}`)}</Badge>
          <p>{details.filter(Boolean).join(' · ')}</p>
          {bridge.state_detail && (
            <p>{t(`bridges.details.${bridge.state_detail}`, { defaultValue: bridge.state_detail })}</p>
          )}
        </div>
        <Menu align="end" trigger={<IconButton icon="more" label={t('bridges.actions', { name: bridge.name })} />}>
          <MenuItem onClick={() => toggle('settings')}>
            {view === 'settings' ? t('bridges.hideEdit') : t('bridges.edit')}
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
      {view === 'failures' && <BridgeFailures bridgeId={bridge.id} />}
      <NewPerson bridge={bridge} />
    </li>
  );
}

/** Starts a chat with a person who has not written yet. */
function NewPerson({ bridge }: { readonly bridge: Bridge }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const { error, run } = useAction();
  const [phone, setPhone] = useState('');
  const [name, setName] = useState('');
  const connect = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { chat_id } = await chatStore.client.api.bridges.connectChat(bridge.id, {
        phone: phone.replace(/[\s()-]/g, ''),
        ...(name.trim() && { name: name.trim() }),
      });
      await chatStore.ensureChat(chat_id);
      closeModal();
      navigate(`/chats/${chat_id}`);
    });
  };
  if (bridge.state !== 'connected') return null;
  return (
    <form className={styles.form} onSubmit={connect}>
      <Field
        label={t('bridges.phone')}
        value={phone}
        onChange={(event) => setPhone(event.target.value)}
        type="tel"
        placeholder="+49 151 12345678"
        hint={t('bridges.connectHint')}
        autoComplete="off"
        required
      />
      <Field
        label={t('bridges.personName')}
        value={name}
        onChange={(event) => setName(event.target.value)}
        maxLength={64}
        autoComplete="off"
      />
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit">{t('bridges.connect')}</Button>
      </div>
    </form>
  );
}

const EMPTY_ACCOUNT = { name: '', phoneNumberId: '', businessAccountId: '', accessToken: '', appSecret: '' };

function NewBridge({ onChange }: { readonly onChange: () => Promise<void> }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const { error, run } = useAction();
  const [account, setAccount] = useState(EMPTY_ACCOUNT);
  const [created, setCreated] = useState<Bridge | null>(null);
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const bridge = await bridges.create({
        name: account.name.trim(),
        whatsapp: {
          phone_number_id: account.phoneNumberId.trim(),
          business_account_id: account.businessAccountId.trim(),
          access_token: account.accessToken.trim(),
          app_secret: account.appSecret.trim(),
        },
      });
      setCreated(bridge);
      setAccount(EMPTY_ACCOUNT);
      await onChange();
    });
  };
  const field = (key: keyof typeof EMPTY_ACCOUNT, type: 'text' | 'password' = 'text', hint?: string) => (
    <Field
      label={t(`bridges.${key}`)}
      value={account[key]}
      onChange={(event) => setAccount({ ...account, [key]: event.target.value })}
      type={type}
      autoComplete={type === 'password' ? 'new-password' : 'off'}
      hint={hint}
      required
    />
  );
  return (
    <>
      <form className={styles.form} onSubmit={create}>
        {field('name')}
        {field('phoneNumberId', 'text', t('bridges.accountHint'))}
        {field('businessAccountId')}
        {field('accessToken', 'password')}
        {field('appSecret', 'password')}
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button type="submit">{t('bridges.create')}</Button>
        </div>
      </form>
      {created && (
        <>
          <p className={styles.hint}>{t('bridges.setUp')}</p>
          <Secret text={`${location.origin}${created.webhook_path}`} hint={t('bridges.callbackUrl')} />
          {created.verify_token && <Secret text={created.verify_token} hint={t('bridges.verifyToken')} />}
        </>
      )}
    </>
  );
}
