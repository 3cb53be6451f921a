import type { Webhook } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import styles from './lists.module.css';

/** The secret with which GitHub signs what it posts to a webhook. */
export function GithubSecretForm(props: { readonly webhook: Webhook; readonly onChange: () => Promise<unknown> }) {
  const { webhook, onChange } = props;
  const { t } = useTranslation();
  const { webhooks } = useChatStore().client.api;
  const { error, run } = useAction();
  const [secret, setSecret] = useState('');
  const change = (github_secret: string | null) =>
    run(async () => {
      await webhooks.update(webhook.chat_id, webhook.id, { github_secret });
      setSecret('');
      await onChange();
    });
  const save = (event: FormEvent) => {
    event.preventDefault();
    void change(secret);
  };
  return (
    <details>
      <summary>{t('webhooks.githubSecretOf', { name: webhook.name })}</summary>
      <form className={styles.form} onSubmit={save}>
        <Field
          label={t('webhooks.githubSecret')}
          value={secret}
          onChange={(event) => setSecret(event.target.value)}
          type="password"
          autoComplete="new-password"
          hint={t('webhooks.githubSecretHint')}
          required
        />
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          {webhook.has_github_secret && (
            <Button onClick={() => void change(null)}>{t('webhooks.removeGithubSecret')}</Button>
          )}
          <Button type="submit">{t('webhooks.saveGithubSecret')}</Button>
        </div>
      </form>
    </details>
  );
}
