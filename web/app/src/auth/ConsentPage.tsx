import type { AuthorizationCheck, AuthorizationRequest, Scope } from '@confab/sdk';
import { type FormEvent, type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isReading, SCOPE_NAMES, SCOPES } from '../settings/scopes';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { switchAccount } from './accounts';
import { ChatChoices } from './ChatChoices';
import styles from './ConsentPage.module.css';
import { useIsSettled } from './useIsSettled';

/** What the program can change. */
type Writing = 'nothing' | 'ask' | 'chats';

/** Asks the user whether a program, such as an MCP client, may act for them (OAuth 2.1). */
export default function ConsentPage() {
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const [request] = useState(readRequest);
  const [check, setCheck] = useState<AuthorizationCheck | null>(null);
  const { error, run } = useAction();

  useEffect(() => {
    document.title = 'Confab';
    void run(async () => setCheck(await api.oauth.check(request)));
  }, [api, request, run]);

  if (error !== null) {
    return (
      <Card title={t('consent.failed')}>
        <FormError>{error}</FormError>
        <Button onClick={() => location.assign('/')}>{t('consent.home')}</Button>
      </Card>
    );
  }
  if (!check) return <Card title="" />;
  const { consent, error_description: reason, redirect_url } = check;
  if (!consent) {
    return (
      <Card title={t('consent.invalid')}>
        <p>{t('consent.invalidHint', { reason })}</p>
        <Button onClick={() => location.assign(redirect_url)}>{t('consent.back')}</Button>
      </Card>
    );
  }
  return <ConsentForm request={request} consent={consent} denyUrl={redirect_url} />;
}

function ConsentForm(props: {
  readonly request: AuthorizationRequest;
  readonly consent: NonNullable<AuthorizationCheck['consent']>;
  readonly denyUrl: string;
}) {
  const { request, consent, denyUrl } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { account } = chatStore;
  const [writing, setWriting] = useState<Writing>('nothing');
  const [chatIds, setChatIds] = useState<ReadonlySet<number>>(new Set());
  const [isBusy, setIsBusy] = useState(false);
  const { error, run } = useAction();
  const isSettled = useIsSettled();
  const asked = SCOPES.filter((scope) => consent.scopes.includes(scope));
  const readScopes = asked.filter(isReading);
  const writeScopes = asked.filter((scope) => !isReading(scope));
  const scopes = writing === 'nothing' ? readScopes : asked;
  const name = consent.client_name;

  const allow = (event: FormEvent) => {
    event.preventDefault();
    setIsBusy(true);
    void run(async () => {
      const { redirect_url } = await chatStore.client.api.oauth.authorize({
        request,
        scopes,
        ...(writing === 'chats' && { write_chat_ids: [...chatIds] }),
      });
      location.assign(redirect_url);
    }).then((isDone) => setIsBusy(isDone));
  };

  return (
    <Card title={t('consent.title', { name })}>
      <form onSubmit={allow} className={styles.form}>
        <p>{t('consent.from', { url: consent.client_id })}</p>
        <p>
          {t('consent.account', { name: account.displayName || account.username })}{' '}
          <button type="button" className={styles.link} onClick={() => switchAccount(null, location.href)}>
            {t('consent.otherAccount')}
          </button>
        </p>
        <ScopeList title={t('consent.can')} scopes={readScopes} />
        {writeScopes.length > 0 && (
          <fieldset className={styles.writing}>
            <ScopeList title={t('consent.writing')} scopes={writeScopes} />
            <Choice value="nothing" current={writing} onChange={setWriting} label={t('consent.readOnly')} />
            <Choice value="ask" current={writing} onChange={setWriting} label={t('consent.ask')} />
            <Choice value="chats" current={writing} onChange={setWriting} label={t('consent.chosenChats')} />
            {writing === 'chats' && <ChatChoices chatIds={chatIds} onChange={setChatIds} />}
          </fieldset>
        )}
        <p className={styles.notice}>
          {consent.is_on_device
            ? t('consent.sentToDevice', { target: consent.redirect_target, name })
            : t('consent.sentTo', { target: consent.redirect_target })}{' '}
          {t('consent.revokeHint')}
        </p>
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button onClick={() => location.assign(denyUrl)}>{t('consent.deny')}</Button>
          <Button
            type="submit"
            variant="primary"
            disabled={!isSettled || isBusy || scopes.length === 0 || (writing === 'chats' && chatIds.size === 0)}
          >
            {t('consent.allow')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function ScopeList({ title, scopes }: { readonly title: string; readonly scopes: readonly Scope[] }) {
  const { t } = useTranslation();
  if (scopes.length === 0) return null;
  return (
    <>
      <h2>{title}</h2>
      <ul>
        {scopes.map((scope) => (
          <li key={scope}>{t(SCOPE_NAMES[scope])}</li>
        ))}
      </ul>
    </>
  );
}

function Choice(props: {
  readonly value: Writing;
  readonly current: Writing;
  readonly onChange: (value: Writing) => void;
  readonly label: string;
}) {
  const { value, current, onChange, label } = props;
  return (
    <label className={styles.choice}>
      <input type="radio" name="writing" checked={value === current} onChange={() => onChange(value)} />
      {label}
    </label>
  );
}

function Card({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <img src="/icon.svg" alt="" width={44} height={44} />
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** The parameters with which the program sent the browser here. */
function readRequest(): AuthorizationRequest {
  const parameters = new URLSearchParams(location.search);
  const read = (name: string) => parameters.get(name);
  return {
    client_id: read('client_id') ?? '',
    redirect_uri: read('redirect_uri') ?? '',
    response_type: read('response_type'),
    code_challenge: read('code_challenge'),
    code_challenge_method: read('code_challenge_method'),
    scope: read('scope'),
    state: read('state'),
    resource: read('resource'),
  };
}
