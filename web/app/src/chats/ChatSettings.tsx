import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, Refusal } from '../ui/Field';
import { useView } from '../view';
import { titleOf, useHouse, useWorld } from '../world/use';
import styles from './lists.module.css';

/** What a chat is called and about, and the ways out of it. */
export function ChatSettings({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const close = useView((view) => view.close);
  const [, go] = useLocation();
  const row = useWorld(({ chats }) => chats.get(chatId));
  const title = useWorld((world) => (row ? titleOf(world, row) : ''));
  const [refusal, setRefusal] = useState<string | null>(null);
  const [sure, setSure] = useState<'leave' | 'delete' | null>(null);
  if (!row) return null;
  const mayChange = row.type !== 'single' && row.role !== 'member';

  const work = async (what: () => Promise<unknown>, goesOut: boolean) => {
    try {
      await what();
      close();
      if (goesOut) go('/');
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    }
  };
  const save = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const word = (name: string) => String(form.get(name) ?? '').trim();
    const patch = { name: word('name'), topic: word('topic'), description: word('description') };
    void work(() => house.client.api.chats.update(chatId, patch), false);
  };

  return (
    <Dialog title={title} onClose={close}>
      <form className={styles.form} onSubmit={save}>
        {mayChange && (
          <>
            <Field label={t('chats.name')} name="name" defaultValue={row.name} />
            <Field label={t('chats.topic')} name="topic" defaultValue={row.topic} />
            <Field label={t('chats.description')} name="description" defaultValue={row.description} />
          </>
        )}
        {!mayChange && row.description && <p>{row.description}</p>}
        <div className={styles.row}>
          <div>
            <strong>{t('chats.mute')}</strong>
            <p>{t('chats.muteHint')}</p>
          </div>
          <Button
            aria-pressed={row.is_muted}
            onClick={() => work(() => house.client.api.chats[row.is_muted ? 'unmute' : 'mute'](chatId), false)}
          >
            {row.is_muted ? t('chats.unmute') : t('chats.mute')}
          </Button>
        </div>
        <Refusal>{refusal}</Refusal>
        <div className={styles.actions}>
          {row.type !== 'single' && (
            <Button
              look={sure === 'leave' ? 'danger' : 'plain'}
              onClick={() =>
                sure === 'leave' ? work(() => house.client.api.chats.leave(chatId), true) : setSure('leave')
              }
            >
              {sure === 'leave' ? t('chats.leaveSure') : t('chats.leave')}
            </Button>
          )}
          {row.role === 'owner' && (
            <Button
              look={sure === 'delete' ? 'danger' : 'plain'}
              onClick={() =>
                sure === 'delete' ? work(() => house.client.api.chats.remove(chatId), true) : setSure('delete')
              }
            >
              {sure === 'delete' ? t('chats.deleteSure') : t('chats.delete')}
            </Button>
          )}
          {mayChange && (
            <Button type="submit" look="main">
              {t('save')}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}
