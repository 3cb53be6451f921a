import type { Chat } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, Refusal } from '../ui/Field';
import { attempt, useView } from '../view';
import { wordsOf } from '../words/failure';
import { useHouse, useWorld } from '../world/use';
import styles from './lists.module.css';

/** Public channels, to look at and to join. */
export function Browse() {
  const { t } = useTranslation();
  const house = useHouse();
  const close = useView((view) => view.close);
  const [, go] = useLocation();
  const [asked, setAsked] = useState('');
  const [found, setFound] = useState<readonly Chat[] | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);
  const joined = useWorld(({ chats }) => [...chats.keys()]);

  useEffect(() => {
    let isOver = false;
    setRefusal(null);
    const words = asked.trim();
    const query = words ? { q: words, limit: 50 } : { limit: 50 };
    house.client.api.chats.channels(query).then(
      ({ items }) => !isOver && setFound(items),
      (error) => !isOver && setRefusal(wordsOf(error)),
    );
    return () => {
      isOver = true;
    };
  }, [asked, house]);

  const enter = (chat: Chat) =>
    attempt(async () => {
      if (!joined.includes(chat.id)) {
        await house.client.api.chats.join(chat.id);
        await house.admit(chat.id);
      }
      close();
      go(`/chats/${chat.id}`);
    });

  return (
    <Dialog title={t('chats.browse')} onClose={close}>
      <div className={styles.form}>
        <Field label={t('chats.findChannel')} value={asked} onChange={(event) => setAsked(event.target.value)} />
        <Refusal>{refusal}</Refusal>
        <ul className={styles.list} aria-busy={found === null && refusal === null}>
          {found?.map((chat) => (
            <li key={chat.id} className={styles.row}>
              <div>
                <strong># {chat.name}</strong>
                <p>
                  {t('people.count', { count: chat.member_count })}
                  {chat.description && ` · ${chat.description}`}
                </p>
              </div>
              <Button look={joined.includes(chat.id) ? 'plain' : 'main'} onClick={() => enter(chat)}>
                {joined.includes(chat.id) ? t('chats.open') : t('chats.join')}
              </Button>
            </li>
          ))}
          {found?.length === 0 && <li className={styles.none}>{t('chats.noneFound')}</li>}
        </ul>
      </div>
    </Dialog>
  );
}
