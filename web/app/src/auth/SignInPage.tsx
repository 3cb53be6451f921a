import { ApprovalPendingError, type Config, createChatClient } from '@confab/sdk';
import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getErrorMessage, getFieldError } from '../locales/errorMessage';
import { deviceStorage } from '../storage';
import { AvatarImage } from '../ui/AvatarImage';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { type Account, listAccounts, signIn, signUp } from './accounts';
import styles from './SignInPage.module.css';

const { api } = createChatClient({ getToken: async () => null, shareConnection: false });

/** Delay before the server's config is requested again after a failure, in milliseconds. */
const RETRY_DELAY_MS = 2_000;

/** The sign-in page: saved accounts, demo accounts and a form. */
export function SignInPage({ onSignedIn }: { readonly onSignedIn: (account: Account) => void }) {
  const { t } = useTranslation();
  const [config, setConfig] = useState<Config | null>(null);
  const [isSignUp, setIsSignUp] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const savedAccounts = listAccounts();

  const [connectionError, setConnectionError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    document.title = 'Confab';
    const retry = () => setAttempt(attempt + 1);
    let timer: ReturnType<typeof setTimeout>;
    let isCancelled = false;
    api.getConfig().then(
      (response) => {
        if (isCancelled) return;
        setConfig(response);
        setConnectionError(null);
        deviceStorage.setItem('confab.demo', String(response.demo !== null));
      },
      (error) => {
        if (isCancelled) return;
        setConnectionError(error);
        timer = setTimeout(retry, RETRY_DELAY_MS);
      },
    );
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [attempt]);

  const authenticate = async (request: () => Promise<Account>) => {
    setIsBusy(true);
    setError(null);
    try {
      onSignedIn(await request());
    } catch (error) {
      // The account exists; the next step is to sign in.
      if (error instanceof ApprovalPendingError) setIsSignUp(false);
      setError(error);
      setIsBusy(false);
    }
  };

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const readField = (name: string) => String(form.get(name) ?? '');
    const [email, password] = [readField('email'), readField('password')];
    void authenticate(() =>
      isSignUp
        ? signUp({ username: readField('username'), email, password, ...(invite && { invite }) })
        : signIn({ email, password }),
    );
  };

  const fieldError = (field: string) => getFieldError(error, field);
  const isShownByField = ['username', 'email', 'password'].some((field) => fieldError(field));
  const demo = config?.demo;
  const invite = getInviteCode();
  const policy = config?.sign_up.policy ?? 'open';
  const canSignUp = policy !== 'closed' && (policy !== 'invite' || invite !== null);
  const formError = error ?? connectionError;

  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <header className={styles.header}>
          <img src="/icon.svg" alt="" width={44} height={44} />
          <div>
            <h1>{config?.name ?? 'Confab'}</h1>
            <p>{t('auth.tagline')}</p>
          </div>
        </header>

        {savedAccounts.length > 0 && (
          <section className={styles.accounts} aria-label={t('auth.savedAccounts')}>
            <h2>{t('auth.savedAccounts')}</h2>
            {savedAccounts.map((account) => (
              <button key={account.id} type="button" className={styles.account} onClick={() => onSignedIn(account)}>
                <AvatarImage name={account.displayName || account.username} seed={account.username} />
                <span>
                  <strong>{account.displayName || account.username}</strong>
                  <small>{t('auth.continue')}</small>
                </span>
              </button>
            ))}
          </section>
        )}

        {demo && (
          <section className={styles.accounts} aria-label={t('auth.tryDemoAs')}>
            <h2>{t('auth.tryDemoAs')}</h2>
            <p className={styles.hint}>{t('auth.demoHint')}</p>
            {demo.accounts
              .filter(({ username }) => !savedAccounts.some((account) => account.username === username))
              .map((demoAccount) => (
                <button
                  key={demoAccount.username}
                  type="button"
                  className={styles.account}
                  disabled={isBusy}
                  onClick={() => authenticate(() => signIn({ email: demoAccount.email, password: demo.password }))}
                >
                  <AvatarImage name={demoAccount.display_name} seed={demoAccount.username} />
                  <span>
                    <strong>{demoAccount.display_name}</strong>
                    <small>@{demoAccount.username}</small>
                  </span>
                </button>
              ))}
          </section>
        )}

        <form className={styles.form} onSubmit={submit}>
          <h2>{isSignUp ? t('auth.signUp') : t('auth.signIn')}</h2>
          {isSignUp && (
            <Field
              label={t('auth.username')}
              name="username"
              autoComplete="username"
              required
              error={fieldError('username')}
              hint={t('auth.usernameHint')}
            />
          )}
          <Field
            label={t('auth.email')}
            name="email"
            type="email"
            autoComplete="email"
            required
            error={fieldError('email')}
            hint={
              isSignUp && policy === 'domains'
                ? config?.sign_up.domains.map((name) => `@${name}`).join(', ')
                : isSignUp && policy === 'approval'
                  ? t('auth.signUpByApproval')
                  : undefined
            }
          />
          <Field
            label={t('auth.password')}
            name="password"
            type="password"
            autoComplete={isSignUp ? 'new-password' : 'current-password'}
            required
            error={fieldError('password')}
          />
          <FormError>{formError !== null && !isShownByField ? getErrorMessage(formError) : null}</FormError>
          <Button type="submit" variant="primary" disabled={isBusy}>
            {isSignUp ? t('auth.signUp') : t('auth.signIn')}
          </Button>
          {canSignUp ? (
            <Button variant="ghost" onClick={() => setIsSignUp(!isSignUp)}>
              {isSignUp ? t('auth.haveAccount') : t('auth.noAccount')}
            </Button>
          ) : (
            <p className={styles.hint}>{policy === 'closed' ? t('auth.signUpClosed') : t('auth.signUpByInvite')}</p>
          )}
        </form>
      </div>
    </main>
  );
}

/** The code of the invite that the page was opened with. */
function getInviteCode(): string | null {
  return /^\/invite\/([\w-]+)/.exec(location.pathname)?.[1] ?? null;
}
