import type { ChatRow, Status } from '@confab/sdk';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';
import { draftText } from '../chat/drafts';
import { leave } from '../session/accounts';
import { Avatar } from '../ui/Avatar';
import { IconButton } from '../ui/Button';
import { Icon, type IconName } from '../ui/Icon';
import { Menu, MenuItem, MenuLine } from '../ui/Menu';
import { StatusDot } from '../ui/StatusDot';
import { attempt, useView } from '../view';
import { shortTime } from '../words/time';
import { chatIdOf, lineOf, nameOf, peerOf, titleOf, useHouse, useWorld } from '../world/use';
import { chatsOf, type Section } from './order';
import styles from './Sidebar.module.css';

const STATUSES: readonly Status[] = ['online', 'away', 'busy', 'offline'];

/** All chats, and whose they are. */
export function Sidebar() {
  const { t } = useTranslation();
  const open = useView((view) => view.open);
  return (
    <nav className={styles.sidebar} aria-label={t('chats.title')}>
      <header className={styles.header}>
        <h1>Confab</h1>
        <IconButton icon="hash" label={t('chats.browse')} onClick={() => open({ kind: 'browse' })} />
        <IconButton icon="add" label={t('chats.new')} onClick={() => open({ kind: 'new' })} />
      </header>
      <button type="button" className={styles.find} onClick={() => open({ kind: 'switcher' })}>
        <Icon name="search" size={16} />
        {t('chats.find')}
        <kbd>{navigator.platform.startsWith('Mac') ? '⌘K' : 'Ctrl K'}</kbd>
      </button>
      <div className={styles.scroll}>
        <Chats section="channels" />
        <Chats section="people" />
      </div>
      <Self />
    </nav>
  );
}

function Chats({ section }: { readonly section: Section }) {
  const { t } = useTranslation();
  const rows = useWorld((world) => chatsOf(world, section));
  const [path] = useLocation();
  if (rows.length === 0) return null;
  return (
    <section aria-label={t(`chats.${section}`)}>
      <h2 className={styles.heading}>{t(`chats.${section}`)}</h2>
      <ul>
        {rows.map((row) => (
          <Row key={row.id} row={row} isOpen={row.id === chatIdOf(path)} />
        ))}
      </ul>
    </section>
  );
}

const Row = memo(function Row({ row, isOpen }: { readonly row: ChatRow; readonly isOpen: boolean }) {
  const { t } = useTranslation();
  const title = useWorld((world) => titleOf(world, row));
  const draft = draftText(useHouse(), row.id);
  const hasUnread = row.unread_count > 0 && !isOpen && !row.is_muted;
  const badge = row.type === 'single' ? row.unread_count : row.mention_count;
  const unread = row.unread_count >= 1000 ? '999+' : row.unread_count;
  return (
    <li>
      <Link
        href={`/chats/${row.id}`}
        className={styles.row}
        aria-current={isOpen ? 'page' : undefined}
        data-unread={hasUnread}
        data-muted={row.is_muted}
      >
        <Sign row={row} />
        <span className={styles.words}>
          <span className={styles.title}>{title}</span>
          <Preview row={row} draft={isOpen ? '' : draft} />
        </span>
        <span className={styles.side}>
          {row.last_message && (
            <time dateTime={row.last_message.created_at}>{shortTime(row.last_message.created_at)}</time>
          )}
          {hasUnread &&
            (badge > 0 ? (
              <b className={styles.badge}>
                {badge >= 1000 ? '999+' : badge}
                <span className="unseen"> {t('chats.unread')}</span>
              </b>
            ) : (
              <i className={styles.dot}>
                <span className="unseen">
                  {unread} {t('chats.unread')}
                </span>
              </i>
            ))}
          {row.is_muted && <Icon name="mute" size={14} />}
        </span>
      </Link>
    </li>
  );
});

/** What kind of chat it is, or whose face it has. */
function Sign({ row }: { readonly row: ChatRow }) {
  const peer = useWorld((world) => world.people.get(peerOf(world, row) ?? 0));
  const status = useWorld((world) => world.presences.get(peerOf(world, row) ?? 0)?.status ?? 'offline');
  if (row.type === 'single') return <Avatar user={peer} size={32} status={status} />;
  const icon: IconName = row.type === 'group' ? 'people' : row.type === 'private_channel' ? 'lock' : 'hash';
  return (
    <span className={styles.sign}>
      <Icon name={icon} size={18} />
    </span>
  );
}

function Preview({ row, draft }: { readonly row: ChatRow; readonly draft: string }) {
  const { t } = useTranslation();
  const last = row.last_message;
  const who = useWorld(({ people, me }) =>
    last?.sender_id === me.id ? t('you') : nameOf(people.get(last?.sender_id ?? 0)),
  );
  if (draft) {
    return (
      <span className={styles.preview}>
        <em>{t('chats.draft')}</em> {draft}
      </span>
    );
  }
  if (!last) return <span className={styles.preview}>{row.topic || row.description}</span>;
  const says = last.deleted_at ? t('message.deleted') : lineOf(last);
  const isNamed = row.type !== 'single' || who === t('you');
  return (
    <span className={styles.preview}>
      {isNamed && last.sender_id !== null ? `${who.split(' ')[0]}: ${says}` : says}
    </span>
  );
}

/** Who one is, how one is seen, and the way out. */
function Self() {
  const { t } = useTranslation();
  const house = useHouse();
  const [, go] = useLocation();
  const me = useWorld((world) => world.me);
  const status = useWorld(({ presences }) => presences.get(me.id)?.status ?? 'offline');
  const open = useView((view) => view.open);
  const signOut = () => attempt(() => house.session.signOut());
  return (
    <footer className={styles.self}>
      <Menu
        trigger={
          <button type="button" className={styles.me}>
            <Avatar user={me} size={34} status={status} />
            <span className={styles.words}>
              <span className={styles.name}>{nameOf(me)}</span>
              <span className={styles.preview}>{t(`presence.${status}`)}</span>
            </span>
          </button>
        }
      >
        {STATUSES.map((one) => (
          <MenuItem key={one} onClick={() => attempt(() => house.client.api.presence.set(one))}>
            <StatusDot status={one} />
            {t(`presence.${one === 'offline' ? 'invisible' : one}`)}
          </MenuItem>
        ))}
        <MenuLine />
        <MenuItem icon="gear" onClick={() => open({ kind: 'settings' })}>
          {t('settings.title')}
        </MenuItem>
        <MenuItem icon="plug" onClick={() => go('/debug')}>
          {t('debug.title')}
        </MenuItem>
        <MenuItem
          icon="person"
          onClick={() => {
            leave();
            location.assign('/');
          }}
        >
          {t('door.other')}
        </MenuItem>
        <MenuItem icon="leave" onClick={signOut}>
          {t('door.signOut')}
        </MenuItem>
      </Menu>
      <IconButton icon="gear" label={t('settings.title')} onClick={() => open({ kind: 'settings' })} />
    </footer>
  );
}
