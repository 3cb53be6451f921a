import type { ChatRow } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Avatar } from '../ui/Avatar';
import { IconButton } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { type Panel, useView } from '../view';
import { ago } from '../words/time';
import { peerOf, titleOf, useWorld } from '../world/use';
import styles from './ChatHeader.module.css';

/** Where one is, and what else can be seen of it. */
export function ChatHeader({ row }: { readonly row: ChatRow }) {
  const { t } = useTranslation();
  const [, go] = useLocation();
  const title = useWorld((world) => titleOf(world, row));
  const peer = useWorld((world) => world.people.get(peerOf(world, row) ?? 0));
  const presence = useWorld(({ presences }) => presences.get(peer?.id ?? 0));
  const { panel, toggle, open } = useView();
  const isDirect = row.type === 'single';
  const lastSeen =
    presence?.status === 'offline' && presence.last_seen
      ? t('presence.lastSeen', { ago: ago(presence.last_seen) })
      : null;
  const about = isDirect ? (lastSeen ?? t(`presence.${presence?.status ?? 'offline'}`)) : row.topic || row.description;
  const button = (which: Panel, icon: Parameters<typeof IconButton>[0]['icon'], label: string) => (
    <IconButton icon={icon} label={label} aria-pressed={panel === which} onClick={() => toggle(which)} />
  );
  return (
    <header className={styles.header}>
      <IconButton icon="back" label={t('back')} className={styles.back ?? ''} onClick={() => go('/')} />
      {isDirect ? (
        <Avatar user={peer} size={30} status={presence?.status ?? 'offline'} />
      ) : (
        <Icon name={row.type === 'group' ? 'people' : row.type === 'private_channel' ? 'lock' : 'hash'} />
      )}
      <h2 className={styles.title}>
        <button type="button" onClick={() => open({ kind: 'chat', chatId: row.id })} title={t('chats.settings')}>
          {title}
        </button>
      </h2>
      <p className={styles.about}>{about}</p>
      {button('search', 'search', t('search.title'))}
      {button('pins', 'pin', t('pins.title'))}
      {!isDirect && button('members', 'people', t('people.title'))}
      <IconButton icon="gear" label={t('chats.settings')} onClick={() => open({ kind: 'chat', chatId: row.id })} />
    </header>
  );
}
