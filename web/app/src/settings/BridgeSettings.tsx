import type { Bridge, ReadReceipts } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { showToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { KeyFileField } from './KeyFileField';
import { WebhookSetup } from './WebhookSetup';

const READ_RECEIPTS: readonly ReadReceipts[] = ['first', 'owner', 'never'];
const CHOICES = {
  showsNames: 'shows_names',
  relaysBots: 'relays_bots',
  sendsEdits: 'sends_edits',
} as const;
type Choice = keyof typeof CHOICES;
const CHOICES_OF: Readonly<Record<Bridge['network'], readonly Choice[]>> = {
  whatsapp: ['showsNames', 'relaysBots', 'sendsEdits'],
  google_chat: ['showsNames', 'relaysBots'],
};

/** The settings of a bridge, and how to set up its webhook. */
export function BridgeSettings(props: { readonly bridge: Bridge; readonly onChange: () => Promise<void> }) {
  const { bridge, onChange } = props;
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const { error, run } = useAction();
  const [settings, setSettings] = useState(bridge.settings);
  const [token, setToken] = useState('');
  const [keyFile, setKeyFile] = useState<File | null>(null);
  const isWhatsapp = bridge.network === 'whatsapp';
  const save = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { read_receipts, shows_names, relays_bots, sends_edits } = settings;
      await bridges.update(bridge.id, {
        read_receipts,
        shows_names,
        relays_bots,
        sends_edits,
        ...(token.trim() && { whatsapp: { access_token: token.trim() } }),
        ...(keyFile && { google_chat: { service_account_key: await keyFile.text() } }),
      });
      setToken('');
      setKeyFile(null);
      showToast(t('settings.saved'));
      await onChange();
    });
  };
  return (
    <form className={styles.form} onSubmit={save}>
      <WebhookSetup bridge={bridge} />
      <fieldset className={styles.choices} aria-label={t('bridges.edit')}>
        {CHOICES_OF[bridge.network].map((choice) => (
          <label key={choice}>
            <input
              type="checkbox"
              checked={settings[CHOICES[choice]]}
              onChange={(event) => setSettings({ ...settings, [CHOICES[choice]]: event.target.checked })}
            />
            {t(`bridges.${choice}`)}
          </label>
        ))}
      </fieldset>
      {isWhatsapp && (
        <SelectField
          label={t('bridges.readReceipts')}
          value={settings.read_receipts}
          onChange={(event) => setSettings({ ...settings, read_receipts: event.target.value as ReadReceipts })}
        >
          {READ_RECEIPTS.map((one) => (
            <option key={one} value={one}>
              {t(`bridges.readReceiptsOf.${one}`)}
            </option>
          ))}
        </SelectField>
      )}
      {isWhatsapp ? (
        <Field
          label={t('bridges.newToken')}
          value={token}
          onChange={(event) => setToken(event.target.value)}
          type="password"
          autoComplete="new-password"
          hint={t('bridges.newTokenHint')}
        />
      ) : (
        <KeyFileField
          label={t('bridges.newKeyFile')}
          hint={t('bridges.newKeyFileHint')}
          file={keyFile}
          onChange={setKeyFile}
        />
      )}
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit">{t('bridges.save')}</Button>
      </div>
    </form>
  );
}
