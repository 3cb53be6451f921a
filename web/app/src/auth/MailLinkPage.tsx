import { ApprovalPendingError, createChatClient } from '@confab/sdk';
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getErrorMessage, getFieldError } from '../locales/errorMessage';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { type Account, confirmSignUp } from './accounts';
import styles from './ConsentPage.module.css';
import { findMailLink, type MailLinkPath } from './mailLinks';

const { api } = createChatClient({ getToken: async () => null, shareConnection: false });

interface LinkProps {
  /** The token of the link. */
  readonly token: string;
  /** What else the link contains. */
  readonly fragment: URLSearchParams;
  readonly onSignedIn: (account: Account) => void;
}

/** The page of each link. Each asks first: programs also open links. */
const PAGES: Readonly<Record<MailLinkPath, (props: LinkProps) => ReactNode>> = {
  '/finish-sign-up': FinishSignUp,
  '/reset-password': ResetPassword,
  '/confirm-email': ConfirmEmail,
  '/unsubscribe': Unsubscribe,
};

/** Does what a link in a mail is for. The token is in the fragment, which browsers send to no server. */
export default function MailLinkPage({ onSignedIn }: Pick<LinkProps, 'onSignedIn'>) {
  const { t } = useTranslation();
  const [hash, setHash] = useState(() => location.hash);
  useEffect(() => {
    document.title = 'Confab';
    // Another link, opened in the same tab, changes only the fragment.
    const handleChange = () => setHash(location.hash);
    addEventListener('hashchange', handleChange);
    return () => removeEventListener('hashchange', handleChange);
  }, []);
  const path = findMailLink();
  if (!path) return null;
  const Page = PAGES[path];
  const fragment = new URLSearchParams(hash.slice(1));
  const token = fragment.get('token');
  if (!token) {
    return (
      <Card title={t('mailLink.incomplete')}>
        <p>{t('mailLink.incompleteHint')}</p>
        <HomeButton label={t('mailLink.continue')} />
      </Card>
    );
  }
  const leave = (account: Account) => {
    const invite = fragment.get('invite');
    history.replaceState(null, '', invite ? `/invite/${encodeURIComponent(invite)}` : '/');
    onSignedIn(account);
  };
  return <Page key={hash} token={token} fragment={fragment} onSignedIn={leave} />;
}

/** Runs a request of a form, and keeps its error. */
function useRequest() {
  const [isBusy, setIsBusy] = useState(false);
  const [isDone, setIsDone] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (request: () => Promise<void>) => {
    setIsBusy(true);
    setError(null);
    try {
      await request();
      setIsDone(true);
    } catch (error) {
      setError(error);
    } finally {
      setIsBusy(false);
    }
  };
  return { isBusy, isDone, error, run };
}

function FinishSignUp({ token, fragment, onSignedIn }: LinkProps) {
  const { t } = useTranslation();
  const { isBusy, error, run } = useRequest();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password] = [String(form.get('username')), String(form.get('password'))];
    void run(async () => onSignedIn(await confirmSignUp({ token, username, password })));
  };
  if (error instanceof ApprovalPendingError) {
    return (
      <Card title={t('mailLink.finishSignUp')}>
        <p>{t('mailLink.pendingApproval')}</p>
        <HomeButton label={t('auth.backToSignIn')} />
      </Card>
    );
  }
  return (
    <Card title={t('mailLink.finishSignUp')}>
      <p>{t('mailLink.finishSignUpHint')}</p>
      <form className={styles.form} onSubmit={submit}>
        <Field
          label={t('auth.username')}
          name="username"
          autoComplete="username"
          defaultValue={fragment.get('username') ?? ''}
          required
          error={getFieldError(error, 'username')}
          hint={t('auth.usernameHint')}
        />
        <NewPasswordField label={t('auth.password')} error={getFieldError(error, 'password')} />
        <RequestError error={error} shownFields={['username', 'password']} />
        <Button type="submit" variant="primary" disabled={isBusy}>
          {t('auth.signUp')}
        </Button>
      </form>
    </Card>
  );
}

function ResetPassword({ token }: LinkProps) {
  const { t } = useTranslation();
  const { isBusy, isDone, error, run } = useRequest();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get('password'));
    void run(() => api.mail.resetPassword({ token, new_password: password }));
  };
  if (isDone) {
    return (
      <Card title={t('mailLink.passwordChanged')}>
        <p>{t('mailLink.passwordChangedHint')}</p>
        <HomeButton label={t('auth.signIn')} />
      </Card>
    );
  }
  return (
    <Card title={t('mailLink.resetPassword')}>
      <p>{t('mailLink.resetPasswordHint')}</p>
      <form className={styles.form} onSubmit={submit}>
        <NewPasswordField
          label={t('settings.newPassword')}
          error={getFieldError(error, 'new_password') ?? getFieldError(error, 'password')}
        />
        <RequestError error={error} shownFields={['new_password', 'password']} />
        <Button type="submit" variant="primary" disabled={isBusy}>
          {t('mailLink.resetPassword')}
        </Button>
      </form>
    </Card>
  );
}

function ConfirmEmail({ token }: LinkProps) {
  const { t } = useTranslation();
  return (
    <Confirmation
      title={t('mailLink.confirmEmail')}
      hint={t('mailLink.confirmEmailHint')}
      label={t('mailLink.confirm')}
      doneTitle={t('mailLink.emailConfirmed')}
      request={() => api.mail.confirmEmail(token)}
    />
  );
}

function Unsubscribe({ token, fragment }: LinkProps) {
  const { t } = useTranslation();
  return (
    <Confirmation
      title={t('mailLink.unsubscribe')}
      hint={t(fragment.get('of') === 'invitations' ? 'mailLink.unsubscribeInvitations' : 'mailLink.unsubscribeDigests')}
      label={t('mailLink.unsubscribeConfirm')}
      doneTitle={t('mailLink.unsubscribed')}
      request={() => api.mail.unsubscribe(token)}
    />
  );
}

function Confirmation(props: {
  readonly title: string;
  readonly hint: string;
  readonly label: string;
  readonly doneTitle: string;
  readonly request: () => Promise<void>;
}) {
  const { t } = useTranslation();
  const { isBusy, isDone, error, run } = useRequest();
  if (isDone) {
    return (
      <Card title={props.doneTitle}>
        <HomeButton label={t('mailLink.continue')} />
      </Card>
    );
  }
  return (
    <Card title={props.title}>
      <p>{props.hint}</p>
      <RequestError error={error} shownFields={[]} />
      <Button variant="primary" disabled={isBusy} onClick={() => run(props.request)}>
        {props.label}
      </Button>
    </Card>
  );
}

function NewPasswordField({ label, error }: { readonly label: string; readonly error: string | undefined }) {
  const { t } = useTranslation();
  return (
    <Field
      label={label}
      name="password"
      type="password"
      autoComplete="new-password"
      required
      error={error}
      hint={t('settings.passwordHint')}
    />
  );
}

/** An error that no field shows. */
function RequestError({ error, shownFields }: { readonly error: unknown; readonly shownFields: readonly string[] }) {
  const isShown = error === null || shownFields.some((field) => getFieldError(error, field));
  return <FormError>{isShown ? null : getErrorMessage(error)}</FormError>;
}

function HomeButton({ label }: { readonly label: string }) {
  return (
    <Button variant="primary" onClick={() => location.assign('/')}>
      {label}
    </Button>
  );
}

function Card({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // The form that had the focus may be gone.
  useEffect(() => heading.current?.focus(), [title]);
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <img src="/icon.svg" alt="" width={44} height={44} />
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {children}
      </div>
    </main>
  );
}
