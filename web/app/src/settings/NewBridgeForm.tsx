import type { Bridge, NewBridge } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { KeyFileField } from './KeyFileField';
import { WebhookSetup } from './WebhookSetup';

const NETWORKS: readonly Bridge['network'][] = ['whatsapp', 'google_chat'];
const EMPTY_ACCOUNT = {
  name: '',
  phoneNumberId: '',
  businessAccountId: '',
  accessToken: '',
  appSecret: '',
  projectNumber: '',
};

/** Creates a bridge. The form is folded while there is a bridge. */
export function NewBridgeForm(props: { readonly isFirst: boolean; readonly onChange: () => Promise<void> }) {
  const { isFirst, onChange } = props;
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const { error, run } = useAction();
  const [network, setNetwork] = useState<Bridge['network']>('whatsapp');
  const [account, setAccount] = useState(EMPTY_ACCOUNT);
  const [keyFile, setKeyFile] = useState<File | null>(null);
  const [created, setCreated] = useState<Bridge | null>(null);
  const readAccount = async (): Promise<Pick<NewBridge, 'whatsapp' | 'google_chat'>> => {
    if (network === 'google_chat')
      return {
        google_chat: {
          project_number: account.projectNumber.trim(),
          service_account_key: (await keyFile?.text()) ?? '',
        },
      };
    return {
      whatsapp: {
        phone_number_id: account.phoneNumberId.trim(),
        business_account_id: account.businessAccountId.trim(),
        access_token: account.accessToken.trim(),
        app_secret: account.appSecret.trim(),
      },
    };
  };
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const bridge = await bridges.create({ name: account.name.trim(), ...(await readAccount()) });
      setCreated(bridge);
      setAccount(EMPTY_ACCOUNT);
      setKeyFile(null);
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
  if (created)
    return (
      <section className={styles.form} aria-label={t('bridges.created', { name: created.name })}>
        <h4>{t('bridges.created', { name: created.name })}</h4>
        <WebhookSetup bridge={created} />
        <div className={styles.actions}>
          <Button onClick={() => setCreated(null)}>{t('bridges.done')}</Button>
        </div>
      </section>
    );
  return (
    <details open={isFirst}>
      <summary>{t('bridges.new')}</summary>
      <form className={styles.form} onSubmit={create}>
        <SelectField
          label={t('bridges.network')}
          value={network}
          onChange={(event) => setNetwork(event.target.value as Bridge['network'])}
        >
          {NETWORKS.map((one) => (
            <option key={one} value={one}>
              {t(`networks.${one}`)}
            </option>
          ))}
        </SelectField>
        {field('name')}
        {network === 'whatsapp' ? (
          <>
            {field('phoneNumberId', 'text', t('bridges.accountHint'))}
            {field('businessAccountId')}
            {field('accessToken', 'password')}
            {field('appSecret', 'password')}
          </>
        ) : (
          <>
            {field('projectNumber', 'text', t('bridges.projectHint'))}
            <KeyFileField
              label={t('bridges.keyFile')}
              hint={t('bridges.keyFileHint')}
              file={keyFile}
              onChange={setKeyFile}
              required
            />
          </>
        )}
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button type="submit">{t('bridges.create')}</Button>
        </div>
      </form>
    </details>
  );
}
