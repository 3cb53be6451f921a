import type { Invite, User } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from '../chats/lists.module.css';
import { PeoplePicker } from '../chats/PeoplePicker';
import { Button } from '../ui/Button';
import { copy } from '../ui/copy';
import { Dialog } from '../ui/Dialog';
import { Refusal } from '../ui/Field';
import { useRefusal } from '../ui/useRefusal';
import { useView } from '../view';
import { useHouse, useWorld } from '../world/use';

/** How long a new invitation is good, in seconds. */
const WEEK_S = 7 * 86_400;

/** Brings people into a chat: by name, or by a link to give them. */
export function AddPeople({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const close = useView((view) => view.close);
  const say = useView((view) => view.say);
  const present = useWorld(({ members }) => members.get(chatId)?.map(({ id }) => id) ?? []);
  const [chosen, setChosen] = useState<readonly User[]>([]);
  const [invite, setInvite] = useState<Invite | null>(null);
  const { refusal, trying } = useRefusal();
  const { api } = house.client;

  useEffect(() => {
    void house.readMembers(chatId).catch(() => {});
  }, [house, chatId]);

  const add = () =>
    trying(async () => {
      for (const { id } of chosen) await api.members.add(chatId, { user_id: id });
      close();
    });
  const link = invite && `${location.origin}/invite/${invite.code}`;
  const copyLink = () => {
    if (!link) return;
    void trying(async () => {
      await copy(link);
      say(t('invite.copied'));
    });
  };

  return (
    <Dialog title={t('people.add')} onClose={close}>
      <div className={styles.form}>
        <PeoplePicker chosen={chosen} onChange={setChosen} isHidden={(id) => present.includes(id)} />
        <Refusal>{refusal}</Refusal>
        <div className={styles.actions}>
          <Button look="main" disabled={chosen.length === 0} onClick={add}>
            {t('people.addChosen', { count: chosen.length })}
          </Button>
        </div>
        <div className={styles.row}>
          <div>
            <strong>{t('invite.title')}</strong>
            {link ? <p className={styles.code}>{link}</p> : <p>{t('invite.hint')}</p>}
          </div>
          {link ? (
            <Button onClick={copyLink}>{t('copy')}</Button>
          ) : (
            <Button
              onClick={() => trying(async () => setInvite(await api.invites.create(chatId, { expires_in: WEEK_S })))}
            >
              {t('invite.make')}
            </Button>
          )}
        </div>
      </div>
    </Dialog>
  );
}
