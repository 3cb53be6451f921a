import { type FormEvent, useCallback, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { Secret } from '../ui/Secret';
import { withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import { useList } from '../ui/useList';
import { GithubSecretForm } from './GithubSecretForm';
import styles from './lists.module.css';

/** The webhooks of a chat, to which programs post messages. */
export function Webhooks({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { webhooks } = useChatStore().client.api;
  const list = useList(useCallback(() => webhooks.list(chatId), [webhooks, chatId]));
  const { error, run } = useAction();
  const [name, setName] = useState('');
  const [url, setUrl] = useState<string | null>(null);

  const showUrl = (path: string) => setUrl(new URL(path, location.href).href);
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const created = await webhooks.create(chatId, { name: name.trim() });
      showUrl(created.url);
      setName('');
      await list.reload();
    });
  };

  return (
    <div className={styles.form}>
      <p className={styles.hint}>{t('webhooks.hint')}</p>
      <FormError>{list.error}</FormError>
      <ul aria-busy={list.isBusy}>
        {list.items?.map((webhook) => (
          <li key={webhook.id}>
            <div className={styles.row}>
              <div>
                <strong>{webhook.name}</strong> {webhook.has_github_secret && <Badge>{t('webhooks.signed')}</Badge>}
              </div>
              <Button onClick={() => withToast(async () => showUrl((await webhooks.renew(chatId, webhook.id)).url))}>
                {t('webhooks.renew')}
              </Button>
              <Button onClick={() => list.removeItem(webhook, () => webhooks.delete(chatId, webhook.id))}>
                {t('webhooks.delete')}
              </Button>
            </div>
            <GithubSecretForm webhook={webhook} onChange={list.reload} />
          </li>
        ))}
      </ul>
      <form className={styles.form} onSubmit={create}>
        <Field
          label={t('webhooks.name')}
          value={name}
          onChange={(event) => setName(event.target.value)}
          maxLength={64}
          autoComplete="off"
          required
        />
        <FormError>{error}</FormError>
        <div className={styles.actions}>
          <Button type="submit">{t('webhooks.create')}</Button>
        </div>
      </form>
      {url && <Secret text={url} hint={t('webhooks.urlOnce')} />}
    </div>
  );
}
