import type { Message } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Side } from '../ui/Side';
import { attempt } from '../view';
import { useHouse } from '../world/use';
import { Hits } from './Hits';
import styles from './Hits.module.css';

/** What was pinned in a chat. */
export default function PinsPanel({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const [pins, setPins] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    const read = () =>
      attempt(async () => {
        const messages = await house.client.api.chats.pins(chatId);
        house.people.know(messages.flatMap(({ sender_id }) => sender_id ?? []));
        setPins(messages);
      });
    void read();
    const names = ['message.pinned', 'message.unpinned', 'message.updated', 'message.deleted'] as const;
    const stops = names.map((name) => house.client.on(name, (event) => event.chat_id === chatId && void read()));
    return () => {
      for (const stop of stops) stop();
    };
  }, [house, chatId]);
  return (
    <Side title={t('pins.title')} label={t('pins.title')}>
      {pins === null && <p aria-busy="true">{t('loading')}</p>}
      {pins &&
        (pins.length > 0 ? <Hits messages={pins} withChat={false} /> : <p className={styles.none}>{t('pins.none')}</p>)}
    </Side>
  );
}
