import type { ChatType, User } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, Refusal } from '../ui/Field';
import { useRefusal } from '../ui/useRefusal';
import { useView } from '../view';
import { useHouse } from '../world/use';
import styles from './lists.module.css';
import { PeoplePicker } from './PeoplePicker';

type Kind = 'people' | Extract<ChatType, 'public_channel' | 'private_channel'>;

const KINDS: readonly Kind[] = ['people', 'public_channel', 'private_channel'];

/** A new conversation: with people, or about something. */
export function NewChat() {
  const { t } = useTranslation();
  const house = useHouse();
  const close = useView((view) => view.close);
  const [, go] = useLocation();
  const [kind, setKind] = useState<Kind>('people');
  const [chosen, setChosen] = useState<readonly User[]>([]);
  const [name, setName] = useState('');
  const { refusal, trying } = useRefusal();
  const [isBusy, setIsBusy] = useState(false);

  const [first, second] = chosen;
  const isDirect = kind === 'people' && first !== undefined && second === undefined;
  const isComplete = kind === 'people' ? first !== undefined : name.trim() !== '';

  const create = async (event: FormEvent) => {
    event.preventDefault();
    setIsBusy(true);
    const members = chosen.map(({ id }) => id);
    const isMade = await trying(async () => {
      const chat = await house.client.api.chats.create(
        isDirect
          ? { type: 'single', user_id: first.id }
          : { type: kind === 'people' ? 'group' : kind, members, ...(name.trim() && { name: name.trim() }) },
      );
      house.people.meet(chosen);
      await house.admit(chat.id);
      close();
      go(`/chats/${chat.id}`);
    });
    if (!isMade) setIsBusy(false);
  };

  return (
    <Dialog title={t('chats.new')} onClose={close}>
      <form className={styles.form} onSubmit={create}>
        <fieldset className={styles.choices} aria-label={t('chats.kind')}>
          {KINDS.map((one) => (
            <label key={one}>
              <input type="radio" name="kind" checked={kind === one} onChange={() => setKind(one)} />
              {t(`chats.kinds.${one}`)}
            </label>
          ))}
        </fieldset>
        {!isDirect && (kind !== 'people' || chosen.length > 1) && (
          <Field
            label={kind === 'people' ? t('chats.groupName') : t('chats.channelName')}
            value={name}
            onChange={(event) => setName(event.target.value)}
            maxLength={100}
          />
        )}
        <PeoplePicker chosen={chosen} onChange={setChosen} />
        <Refusal>{refusal}</Refusal>
        <div className={styles.actions}>
          <Button onClick={close}>{t('cancel')}</Button>
          <Button type="submit" look="main" disabled={!isComplete || isBusy}>
            {isDirect ? t('chats.open') : t('chats.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
