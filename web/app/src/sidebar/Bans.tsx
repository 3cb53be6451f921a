import type { Ban, BanPage } from '@confab/sdk';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { getDisplayName, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError } from '../ui/Field';
import { useList } from '../ui/useList';
import styles from './lists.module.css';

/** The users banned from a chat. */
export function Bans({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const { members } = useChatStore().client.api;
  const fetchBans = useCallback(async () => {
    const all: Ban[] = [];
    let page: BanPage;
    do {
      const last = all.at(-1)?.user.id;
      page = await members.listBans(chatId, { limit: 100, ...(last && { after: last }) });
      all.push(...page.items);
    } while (page.next !== null);
    return all;
  }, [members, chatId]);
  const { items, error, isBusy, removeItem } = useList(fetchBans);
  if (error) return <FormError>{error}</FormError>;
  if (items?.length === 0) return <p className={styles.empty}>{t('chats.noBans')}</p>;
  return (
    <ul aria-busy={isBusy}>
      {items?.map((ban) => (
        <li key={ban.user.id} className={styles.row}>
          <Avatar user={ban.user} size={32} />
          <div>
            <strong>{getDisplayName(ban.user)}</strong>
            <p>{ban.reason || `@${ban.user.username}`}</p>
          </div>
          <Button onClick={() => removeItem(ban, () => members.unban(chatId, ban.user.id))}>
            {t('members.unban')}
          </Button>
        </li>
      ))}
    </ul>
  );
}
