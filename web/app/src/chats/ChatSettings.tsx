import type { ChatRow } from '@confab/sdk';
import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, Refusal } from '../ui/Field';
import { Tabs } from '../ui/Tabs';
import { useRefusal } from '../ui/useRefusal';
import { useView } from '../view';
import { titleOf, useHouse, useWorld } from '../world/use';
import { Bans } from './Bans';
import { Invites } from './Invites';
import styles from './lists.module.css';

/** What a chat is called and about, who may come in, and the ways out of it. */
export function ChatSettings({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  const row = useWorld(({ chats }) => chats.get(chatId));
  const title = useWorld((world) => (row ? titleOf(world, row) : ''));
  if (!row) return null;
  const rules = row.type !== 'single' && row.role !== 'member';
  const about = <About row={row} title={title} rules={rules} />;
  const parts = [
    { name: t('chats.about'), body: about },
    { name: t('chats.invites'), body: <Invites chatId={chatId} /> },
    { name: t('chats.bans'), body: <Bans chatId={chatId} /> },
  ];
  return (
    <Dialog title={title} onClose={close} isWide={rules}>
      {rules ? <Tabs label={title} parts={parts} /> : about}
    </Dialog>
  );
}

function About(props: { readonly row: ChatRow; readonly title: string; readonly rules: boolean }) {
  const { row, title, rules } = props;
  const { t } = useTranslation();
  const { chats } = useHouse().client.api;
  const { open, close } = useView();
  const [, go] = useLocation();
  const { refusal, trying } = useRefusal();
  const work = async (what: () => Promise<unknown>) => {
    if (await trying(what)) close();
  };
  const mustStay = row.role === 'owner' && row.member_count > 1;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const word = (name: string) => String(form.get(name) ?? '').trim();
    const patch = { name: word('name'), topic: word('topic'), description: word('description') };
    void work(() => chats.update(row.id, patch));
  };
  const wayOut = (what: 'leave' | 'delete', work: () => Promise<unknown>) =>
    open({
      kind: 'sure',
      chatId: row.id,
      title: t(`chats.${what}`),
      text: t(`chats.${what}Sure`, { name: title }),
      verb: t(`chats.${what}`),
      work: async () => {
        await work();
        go('/');
      },
    });
  return (
    <form className={styles.form} onSubmit={submit}>
      {rules && (
        <>
          <Field label={t('chats.name')} name="name" defaultValue={row.name} />
          <Field label={t('chats.topic')} name="topic" defaultValue={row.topic} />
          <Field label={t('chats.description')} name="description" defaultValue={row.description} />
        </>
      )}
      {!rules && row.description && <p>{row.description}</p>}
      <div className={styles.row}>
        <div>
          <strong>{t('chats.mute')}</strong>
          <p>{t('chats.muteHint')}</p>
        </div>
        <Button
          aria-pressed={row.is_muted}
          onClick={() => work(() => (row.is_muted ? chats.unmute(row.id) : chats.mute(row.id)))}
        >
          {row.is_muted ? t('chats.unmute') : t('chats.mute')}
        </Button>
      </div>
      {mustStay && <p className={styles.hint}>{t('chats.ownerStays')}</p>}
      <Refusal>{refusal}</Refusal>
      <div className={styles.actions}>
        {row.type !== 'single' && !mustStay && (
          <Button onClick={() => wayOut('leave', () => chats.leave(row.id))}>{t('chats.leave')}</Button>
        )}
        {row.role === 'owner' && (
          <Button look="grave" onClick={() => wayOut('delete', () => chats.remove(row.id))}>
            {t('chats.delete')}
          </Button>
        )}
        {rules && (
          <Button type="submit" look="main">
            {t('save')}
          </Button>
        )}
      </div>
    </form>
  );
}
