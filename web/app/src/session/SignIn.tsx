import { type Config, createChatClient } from '@confab/sdk';
import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { kept } from '../kept';
import { Face } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Field, Refusal } from '../ui/Field';
import { wordsOf, wordsOfField } from '../words/failure';
import { type Account, accounts, signIn, signUp } from './accounts';
import styles from './SignIn.module.css';

const { api } = createChatClient({ getToken: async () => null, shareConnection: false });

/** How long a server that could not be asked is waited for, in milliseconds. */
const AGAIN_MS = 2_000;

/** The door: people of the demo world, people who were here before, or a form. */
export function SignIn({ onEntered }: { readonly onEntered: (account: Account) => void }) {
  const { t } = useTranslation();
  const [config, setConfig] = useState<Config | null>(null);
  const [isNew, setIsNew] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [refusal, setRefusal] = useState<unknown>(null);
  const known = accounts();

  const [away, setAway] = useState<unknown>(null);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    document.title = 'Confab';
    const again = () => setTries(tries + 1);
    let timer: ReturnType<typeof setTimeout>;
    let isOver = false;
    api.config().then(
      (answer) => {
        if (isOver) return;
        setConfig(answer);
        setAway(null);
        kept.setItem('confab.demo', String(answer.demo !== null));
      },
      (error) => {
        if (isOver) return;
        setAway(error);
        timer = setTimeout(again, AGAIN_MS);
      },
    );
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [tries]);

  const admit = async (begin: () => Promise<Account>) => {
    setIsBusy(true);
    setRefusal(null);
    try {
      onEntered(await begin());
    } catch (error) {
      setRefusal(error);
      setIsBusy(false);
    }
  };

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const word = (name: string) => String(form.get(name) ?? '');
    const [email, password] = [word('email'), word('password')];
    void admit(() => (isNew ? signUp({ username: word('username'), email, password }) : signIn({ email, password })));
  };

  const wrong = (field: string) => wordsOfField(refusal, field);
  const isSaidByField = ['username', 'email', 'password'].some((field) => wrong(field));
  const demo = config?.demo;
  const said = refusal ?? away;

  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <header className={styles.header}>
          <img src="/icon.svg" alt="" width={44} height={44} />
          <div>
            <h1>{config?.name ?? 'Confab'}</h1>
            <p>{t('door.motto')}</p>
          </div>
        </header>

        {known.length > 0 && (
          <section className={styles.people} aria-label={t('door.known')}>
            <h2>{t('door.known')}</h2>
            {known.map((account) => (
              <button key={account.id} type="button" className={styles.person} onClick={() => onEntered(account)}>
                <Face name={account.displayName || account.username} seed={account.username} />
                <span>
                  <strong>{account.displayName || account.username}</strong>
                  <small>{t('door.goOn')}</small>
                </span>
              </button>
            ))}
          </section>
        )}

        {demo && (
          <section className={styles.people} aria-label={t('door.demo')}>
            <h2>{t('door.demo')}</h2>
            <p className={styles.hint}>{t('door.demoHint')}</p>
            {demo.accounts
              .filter(({ username }) => !known.some((account) => account.username === username))
              .map((person) => (
                <button
                  key={person.username}
                  type="button"
                  className={styles.person}
                  disabled={isBusy}
                  onClick={() => admit(() => signIn({ email: person.email, password: demo.password }))}
                >
                  <Face name={person.display_name} seed={person.username} />
                  <span>
                    <strong>{person.display_name}</strong>
                    <small>@{person.username}</small>
                  </span>
                </button>
              ))}
          </section>
        )}

        <form className={styles.form} onSubmit={submit}>
          <h2>{isNew ? t('door.signUp') : t('door.signIn')}</h2>
          {isNew && (
            <Field
              label={t('door.username')}
              name="username"
              autoComplete="username"
              required
              wrong={wrong('username')}
              hint={t('door.usernameHint')}
            />
          )}
          <Field
            label={t('door.email')}
            name="email"
            type="email"
            autoComplete="email"
            required
            wrong={wrong('email')}
          />
          <Field
            label={t('door.password')}
            name="password"
            type="password"
            autoComplete={isNew ? 'new-password' : 'current-password'}
            required
            wrong={wrong('password')}
          />
          <Refusal>{said !== null && !isSaidByField ? wordsOf(said) : null}</Refusal>
          <Button type="submit" look="main" disabled={isBusy}>
            {isNew ? t('door.signUp') : t('door.signIn')}
          </Button>
          <Button look="quiet" onClick={() => setIsNew(!isNew)}>
            {isNew ? t('door.haveAccount') : t('door.noAccount')}
          </Button>
        </form>
      </div>
    </main>
  );
}
