import type { Bridge } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../sidebar/lists.module.css';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useOpenChat } from './useOpenChat';

/** Connects a space of Google Chat to a new group. */
export function NewSpaceForm({ bridge }: { readonly bridge: Bridge }) {
  const { t } = useTranslation();
  const { bridges } = useChatStore().client.api;
  const openChat = useOpenChat();
  const { error, run } = useAction();
  const spaces = bridge.profile?.spaces.filter(({ is_direct }) => !is_direct) ?? [];
  const [chosen, setChosen] = useState('');
  const space = chosen || spaces[0]?.name;
  if (space === undefined) return <p className={styles.hint}>{t('bridges.noSpaces')}</p>;
  const connect = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { chat_id } = await bridges.connectChat(bridge.id, { space });
      await openChat(chat_id);
    });
  };
  return (
    <form className={styles.form} onSubmit={connect}>
      <SelectField
        label={t('bridges.space')}
        hint={t('bridges.spaceHint')}
        value={space}
        onChange={(event) => setChosen(event.target.value)}
      >
        {spaces.map(({ name, title }) => (
          <option key={name} value={name}>
            {title ?? t('bridges.unnamedSpace')}
          </option>
        ))}
      </SelectField>
      <FormError>{error}</FormError>
      <div className={styles.actions}>
        <Button type="submit">{t('bridges.connectSpace')}</Button>
      </div>
    </form>
  );
}
