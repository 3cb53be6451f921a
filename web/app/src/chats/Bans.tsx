import type { Ban, BanPage } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Refusal } from '../ui/Field';
import { useList } from '../ui/useList';
import { nameOf, useHouse } from '../world/use';
import styles from './lists.module.css';

/** Who may not come into a chat. */
export function Bans({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { members } = useHouse().client.api;
  const read = useCallback(async () => {
    const all: Ban[] = [];
    let page: BanPage;
    do {
      const last = all.at(-1)?.user.id;
      page = await members.banned(chatId, { limit: 100, ...(last && { after: last }) });
      all.push(...page.items);
    } while (page.next !== null);
    return all;
  }, [members, chatId]);
  const { items, refusal, isBusy, takeOut } = useList(read);
  if (refusal) return <Refusal>{refusal}</Refusal>;
  if (items?.length === 0) return <p className={styles.none}>{t('chats.bansNone')}</p>;
  return (
    <ul aria-busy={isBusy}>
      {items?.map((ban) => (
        <li key={ban.user.id} className={styles.row}>
          <Avatar user={ban.user} size={32} />
          <div>
            <strong>{nameOf(ban.user)}</strong>
            <p>{ban.reason || `@${ban.user.username}`}</p>
          </div>
          <Button onClick={() => takeOut(ban, () => members.unban(chatId, ban.user.id))}>{t('people.lift')}</Button>
        </li>
      ))}
    </ul>
  );
}
