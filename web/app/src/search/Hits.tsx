import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Avatar } from '../ui/Avatar';
import { isWide, useView } from '../view';
import { shortTime } from '../words/time';
import { lineOf, nameOf, titleOf, useWorld } from '../world/use';
import styles from './Hits.module.css';

/** Messages out of their place, each a way to it. */
export function Hits({ messages, withChat }: { readonly messages: readonly Message[]; readonly withChat: boolean }) {
  return (
    <ul className={styles.hits}>
      {messages.map((message) => (
        <Hit key={message.id} message={message} withChat={withChat} />
      ))}
    </ul>
  );
}

function Hit({ message, withChat }: { readonly message: Message; readonly withChat: boolean }) {
  const { t } = useTranslation();
  const [, go] = useLocation();
  const { jump, panel, toggle } = useView();
  const author = useWorld(({ people }) => people.get(message.sender_id ?? 0));
  const chat = useWorld((world) => {
    const row = world.chats.get(message.chat_id);
    return row ? titleOf(world, row) : '';
  });
  return (
    <li>
      <button
        type="button"
        className={styles.hit}
        onClick={() => {
          jump();
          // It would cover what was found.
          if (panel && !isWide()) toggle(panel);
          go(`/chats/${message.chat_id}/${message.id}`);
        }}
      >
        <Avatar user={author} size={28} />
        <span>
          <strong>{message.sender_id === null ? t('people.gone') : nameOf(author)}</strong>
          <time dateTime={message.created_at}>{shortTime(message.created_at)}</time>
          {withChat && <small>{chat}</small>}
          <span className={styles.line}>{lineOf(message)}</span>
        </span>
      </button>
    </li>
  );
}
