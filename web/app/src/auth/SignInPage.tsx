import { ApprovalPendingError, type Config, type Signup, VerificationPendingError } from '@confab/sdk';
import type { TFunction } from 'i18next';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getErrorMessage, getFieldError } from '../locales/errorMessage';
import { AvatarImage } from '../ui/AvatarImage';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { type Account, listAccounts, signIn, signUp } from './accounts';
import { InviteSummary } from './InviteSummary';
import { api } from './publicApi';
import styles from './SignInPage.module.css';

/** Delay before the server's config is requested again after a failure, in milliseconds. */
const RETRY_DELAY_MS = 2_000;

/** What the form does. */
type Mode = 'signIn' | 'signUp' | 'forgotPassword';

/** The sign-in page: saved accounts, demo accounts and a form. */
export default function SignInPage({ onSignedIn }: { readonly onSignedIn: (account: Account) => void }) {
  const { t } = useTranslation();
  const [config, setConfig] = useState<Config | null>(null);
  const savedAccounts = listAccounts();
  const invite = getInviteCode();
  // Most visitors who follow an invite have no account.
  const [chosenMode, setMode] = useState<Mode>(invite && savedAccounts.length === 0 ? 'signUp' : 'signIn');
  const policy = config?.sign_up.policy ?? 'open';
  const canSignUp = policy !== 'closed' && (policy !== 'invite' || invite !== null);
  const mode = chosenMode === 'signUp' && !canSignUp ? 'signIn' : chosenMode;
  const isSignUp = mode === 'signUp';
  /** The address to which a link was sent. */
  const [mailedTo, setMailedTo] = useState<string | null>(null);
  const mailedHeading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (mailedTo !== null) mailedHeading.current?.focus();
  }, [mailedTo]);
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

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
      if (error instanceof ApprovalPendingError) setMode('signIn');
      setError(error);
      setIsBusy(false);
    }
  };

  const showMode = (next: Mode) => {
    setMode(next);
    setError(null);
    setMailedTo(null);
  };

  const requestPasswordReset = async (email: string) => {
    setIsBusy(true);
    setError(null);
    try {
      await api.mail.requestPasswordReset(email);
      setMailedTo(email);
    } catch (error) {
      setError(error);
    } finally {
      setIsBusy(false);
    }
  };

  const submitSignUp = (body: Signup) =>
    authenticate(() =>
      signUp(body).catch((error) => {
        if (error instanceof VerificationPendingError) setMailedTo(body.email);
        throw error;
      }),
    );

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const readField = (name: string) => String(form.get(name) ?? '');
    const [email, password] = [readField('email'), readField('password')];
    if (mode === 'forgotPassword') void requestPasswordReset(email);
    else if (mode === 'signIn') void authenticate(() => signIn({ email, password }));
    else {
      const body = { username: readField('username'), email, ...(!isVerified && { password }) };
      void submitSignUp({ ...body, ...(invite && { invite }) });
    }
  };

  const fieldError = (field: string) => getFieldError(error, field);
  const isShownByField = ['username', 'email', 'password'].some((field) => fieldError(field));
  const demo = config?.demo;
  const isVerified = config?.sign_up.verification ?? false;
  const hasPassword = mode === 'signIn' || (isSignUp && !isVerified);
  const formError = error instanceof VerificationPendingError ? null : (error ?? connectionError);

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

        {invite && <InviteSummary code={invite} />}

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

        {demo && !(invite && isSignUp) && (
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

        {mailedTo !== null ? (
          <section className={styles.form}>
            <h2 ref={mailedHeading} tabIndex={-1}>
              {t('auth.mailSent')}
            </h2>
            <p>{t(isSignUp ? 'auth.signUpMailed' : 'auth.resetMailed', { email: mailedTo })}</p>
            <Button onClick={() => showMode('signIn')}>{t('auth.backToSignIn')}</Button>
          </section>
        ) : (
          <form className={styles.form} onSubmit={submit}>
            <h2>{t(TITLES[mode])}</h2>
            {mode === 'forgotPassword' && <p className={styles.hint}>{t('auth.forgotPasswordHint')}</p>}
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
              hint={isSignUp ? getSignUpHint(config, t) : undefined}
            />
            {hasPassword && (
              <Field
                label={t('auth.password')}
                name="password"
                type="password"
                autoComplete={isSignUp ? 'new-password' : 'current-password'}
                required
                error={fieldError('password')}
              />
            )}
            <FormError>{formError !== null && !isShownByField ? getErrorMessage(formError) : null}</FormError>
            <Button type="submit" variant="primary" disabled={isBusy}>
              {t(mode === 'forgotPassword' ? 'auth.sendLink' : TITLES[mode])}
            </Button>
            {mode === 'signIn' && config?.mail && (
              <Button variant="ghost" onClick={() => showMode('forgotPassword')}>
                {t('auth.forgotPassword')}
              </Button>
            )}
            {mode !== 'signIn' ? (
              <Button variant="ghost" onClick={() => showMode('signIn')}>
                {t(isSignUp ? 'auth.haveAccount' : 'auth.backToSignIn')}
              </Button>
            ) : canSignUp ? (
              <Button variant="ghost" onClick={() => showMode('signUp')}>
                {t('auth.noAccount')}
              </Button>
            ) : (
              <p className={styles.hint}>{t(policy === 'closed' ? 'auth.signUpClosed' : 'auth.signUpByInvite')}</p>
            )}
          </form>
        )}
      </div>
    </main>
  );
}

const TITLES = {
  signIn: 'auth.signIn',
  signUp: 'auth.signUp',
  forgotPassword: 'auth.forgotPassword',
} as const satisfies Record<Mode, string>;

/** What the address of a new account has to be, or what happens after the sign-up. */
function getSignUpHint(config: Config | null, t: TFunction): string | undefined {
  switch (config?.sign_up.policy) {
    case 'domains':
      return config.sign_up.domains.map((name) => `@${name}`).join(', ');
    case 'approval':
      return t('auth.signUpByApproval');
    default:
      return config?.sign_up.verification ? t('auth.signUpByMail') : undefined;
  }
}

/** The code of the invite that the page was opened with. */
function getInviteCode(): string | null {
  return /^\/invite\/([\w-]+)/.exec(location.pathname)?.[1] ?? null;
}
