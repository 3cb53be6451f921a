import type { ApiToken, Scope, User } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime, formatRelativeTime } from '../locales/time';
import styles from '../sidebar/lists.module.css';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { Secret } from '../ui/Secret';
import { withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { isReading, SCOPE_NAMES, SCOPES } from './scopes';

const LIFETIMES = [30, 90, 365] as const;

/** The tokens of the user and of the user's bots, and a form for a new one. */
export function ApiTokens(props: {
  readonly bots: readonly User[];
  readonly tokens: readonly ApiToken[];
  readonly onChange: () => Promise<void>;
}) {
  const { bots, tokens, onChange } = props;
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const describeUser = (id: number) => {
    const bot = bots.find((one) => one.id === id);
    return bot ? getDisplayName(bot) : t('integrations.myself');
  };
  const describeToken = (token: ApiToken) =>
    [
      token.client_id ? t('integrations.grantedTo', { host: new URL(token.client_id).host }) : `…${token.last_four}`,
      describeUser(token.user_id),
      token.used_at ? t('settings.lastUsed', { ago: formatRelativeTime(token.used_at) }) : t('integrations.neverUsed'),
      token.expires_at && t('invite.expiresAt', { time: formatFullTime(token.expires_at) }),
    ]
      .filter(Boolean)
      .join(' · ');
  return (
    <section className={styles.form} aria-label={t('integrations.tokens')}>
      <h3>{t('integrations.tokens')}</h3>
      <ul>
        {tokens.map((token) => (
          <li key={token.id} className={styles.row}>
            <div>
              <strong>{token.name}</strong>
              <p>{describeToken(token)}</p>
              <p>{token.scopes.join(' ')}</p>
            </div>
            <Button
              onClick={() =>
                withToast(async () => {
                  await api.tokens.revoke(token.id);
                  await onChange();
                })
              }
            >
              {t('integrations.revoke')}
            </Button>
          </li>
        ))}
      </ul>
      <NewToken bots={bots} onChange={onChange} />
    </section>
  );
}

function NewToken({ bots, onChange }: { readonly bots: readonly User[]; readonly onChange: () => Promise<void> }) {
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const me = useChatState((state) => state.me.id);
  const { error, run } = useAction();
  const [name, setName] = useState('');
  const [userId, setUserId] = useState(me);
  const [days, setDays] = useState<number | null>(90);
  const [scopes, setScopes] = useState<readonly Scope[]>(() => SCOPES.filter(isReading));
  const [secret, setSecret] = useState<string | null>(null);

  const toggle = (scope: Scope) =>
    setScopes((now) => (now.includes(scope) ? now.filter((one) => one !== scope) : [...now, scope]));
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { token } = await api.tokens.create({
        name: name.trim(),
        scopes: [...scopes],
        ...(userId !== me && { bot_id: userId }),
        ...(days !== null && { expires_in_days: days }),
      });
      setSecret(token);
      setName('');
      await onChange();
    });
  };

  return (
    <form className={styles.form} onSubmit={create}>
      <Field
        label={t('integrations.tokenName')}
        value={name}
        onChange={(event) => setName(event.target.value)}
        maxLength={64}
        autoComplete="off"
        required
      />
      <SelectField
        label={t('integrations.actsFor')}
        value={userId}
        onChange={(event) => setUserId(Number(event.target.value))}
      >
        <option value={me}>{t('integrations.myself')}</option>
        {bots.map((bot) => (
          <option key={bot.id} value={bot.id}>
            {getDisplayName(bot)}
          </option>
        ))}
      </SelectField>
      <SelectField
        label={t('integrations.expires')}
        value={days ?? ''}
        onChange={(event) => setDays(event.target.value === '' ? null : Number(event.target.value))}
      >
        {LIFETIMES.map((count) => (
          <option key={count} value={count}>
            {t('integrations.days', { count })}
          </option>
        ))}
        <option value="">{t('integrations.never')}</option>
      </SelectField>
      <fieldset className={styles.choices} aria-label={t('integrations.scopes')}>
        {SCOPES.map((scope) => (
          <label key={scope}>
            <input type="checkbox" checked={scopes.includes(scope)} onChange={() => toggle(scope)} />
            {t(SCOPE_NAMES[scope])}
          </label>
        ))}
      </fieldset>
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit" disabled={scopes.length === 0}>
          {t('integrations.createToken')}
        </Button>
      </div>
      {secret && <Secret text={secret} hint={t('integrations.tokenOnce')} />}
    </form>
  );
}
