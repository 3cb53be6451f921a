import type { ChatSummary, Status } from '@confab/sdk';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';
import { signOut } from '../auth/accounts';
import { loadDraftText } from '../conversation/drafts';
import { formatShortTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { isBlocked } from '../store/chatState';
import {
  getAuthorName,
  getChatTitle,
  getDisplayName,
  getMessagePreview,
  getPeerId,
  parseChatId,
  useChatState,
  useChatStore,
} from '../store/hooks';
import { IconButton } from '../ui/Button';
import { Icon, type IconName } from '../ui/Icon';
import { Menu, MenuItem, MenuSeparator } from '../ui/Menu';
import { StatusDot } from '../ui/StatusDot';
import { withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { getSectionChats, type Section } from './chatOrder';
import styles from './Sidebar.module.css';

const STATUSES: readonly Status[] = ['online', 'away', 'busy', 'offline'];

/** The list of chats and the account menu. */
export function Sidebar() {
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  return (
    <nav className={styles.sidebar} aria-label={t('chats.title')}>
      <header className={styles.header}>
        <h1>Confab</h1>
        <IconButton icon="hash" label={t('chats.browse')} onClick={() => openModal({ kind: 'browseChannels' })} />
        <IconButton icon="add" label={t('chats.new')} onClick={() => openModal({ kind: 'newChat' })} />
      </header>
      <button type="button" className={styles.searchButton} onClick={() => openModal({ kind: 'switcher' })}>
        <Icon name="search" size={16} />
        {t('chats.search')}
        <kbd>{navigator.platform.startsWith('Mac') ? '⌘K' : 'Ctrl K'}</kbd>
      </button>
      <InboxLink />
      <div className={styles.scroll}>
        <ChatSection section="channels" />
        <ChatSection section="directMessages" />
      </div>
      <AccountMenu />
    </nav>
  );
}

/** The way to the inbox, with the number of unseen items. */
function InboxLink() {
  const { t } = useTranslation();
  const [path] = useLocation();
  const count = useChatState(({ chats }) => [...chats.values()].reduce((sum, chat) => sum + chat.inbox_count, 0));
  return (
    <Link href="/inbox" className={styles.inbox} aria-current={path === '/inbox' ? 'page' : undefined}>
      <Icon name="bell" size={16} />
      {t('inbox.title')}
      {count > 0 && (
        <b className={styles.badge}>
          {count >= 1000 ? '999+' : count}
          <span className="visually-hidden"> {t('inbox.unseen')}</span>
        </b>
      )}
    </Link>
  );
}

function ChatSection({ section }: { readonly section: Section }) {
  const { t } = useTranslation();
  const chats = useChatState((state) => getSectionChats(state, section));
  const [path] = useLocation();
  if (chats.length === 0) return null;
  return (
    <section aria-label={t(`chats.${section}`)}>
      <h2 className={styles.heading}>{t(`chats.${section}`)}</h2>
      <ul>
        {chats.map((chat) => (
          <ChatListItem key={chat.id} chat={chat} isOpen={chat.id === parseChatId(path)} />
        ))}
      </ul>
    </section>
  );
}

const ChatListItem = memo(function ChatListItem({
  chat,
  isOpen,
}: {
  readonly chat: ChatSummary;
  readonly isOpen: boolean;
}) {
  const { t } = useTranslation();
  const title = useChatState((state) => getChatTitle(state, chat));
  const draft = loadDraftText(useChatStore(), chat.id);
  const hasUnread = chat.unread_count > 0 && !isOpen && !chat.is_muted;
  const badge = chat.type === 'single' ? chat.unread_count : chat.mention_count;
  const unread = chat.unread_count >= 1000 ? '999+' : chat.unread_count;
  return (
    <li>
      <Link
        href={`/chats/${chat.id}`}
        className={styles.row}
        aria-current={isOpen ? 'page' : undefined}
        data-unread={hasUnread}
        data-muted={chat.is_muted}
      >
        <ChatIcon chat={chat} />
        <span className={styles.text}>
          <span className={styles.title}>{title}</span>
          <Preview chat={chat} draft={isOpen ? '' : draft} />
        </span>
        <span className={styles.meta}>
          {chat.last_message && (
            <time dateTime={chat.last_message.created_at}>{formatShortTime(chat.last_message.created_at)}</time>
          )}
          {hasUnread &&
            (badge > 0 ? (
              <b className={styles.badge}>
                {badge >= 1000 ? '999+' : badge}
                <span className="visually-hidden"> {t('chats.unread')}</span>
              </b>
            ) : (
              <i className={styles.dot}>
                <span className="visually-hidden">
                  {unread} {t('chats.unread')}
                </span>
              </i>
            ))}
          {chat.is_muted && <Icon name="mute" size={14} />}
        </span>
      </Link>
    </li>
  );
});

/** The avatar of a direct chat, or the icon of the chat type. */
function ChatIcon({ chat }: { readonly chat: ChatSummary }) {
  const peer = useChatState((state) => state.users.get(getPeerId(state, chat) ?? 0));
  const status = useChatState((state) => state.presences.get(getPeerId(state, chat) ?? 0)?.status ?? 'offline');
  if (chat.type === 'single') return <Avatar user={peer} size={32} status={status} />;
  const icon: IconName = chat.type === 'group' ? 'people' : chat.type === 'private_channel' ? 'lock' : 'hash';
  return (
    <span className={styles.icon}>
      <Icon name={icon} size={18} />
    </span>
  );
}

function Preview({ chat, draft }: { readonly chat: ChatSummary; readonly draft: string }) {
  const { t } = useTranslation();
  const last = chat.last_message;
  const senderName = useChatState(({ users, me }) =>
    last?.sender_id === me.id ? t('you') : getAuthorName(last, users.get(last?.sender_id ?? 0)),
  );
  const isHidden = useChatState((state) => isBlocked(state, last?.sender_id ?? null));
  if (draft) {
    return (
      <span className={styles.preview}>
        <em>{t('chats.draft')}</em> {draft}
      </span>
    );
  }
  if (!last) return <span className={styles.preview}>{chat.topic || chat.description}</span>;
  const text = last.deleted_at ? t('message.deleted') : isHidden ? t('message.blocked') : getMessagePreview(last);
  const showsSender = chat.type !== 'single' || senderName === t('you');
  return (
    <span className={styles.preview}>
      {showsSender && last.sender_id !== null ? `${senderName.split(' ')[0]}: ${text}` : text}
    </span>
  );
}

/** The user's account: presence, settings and sign-out. */
function AccountMenu() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const me = useChatState((state) => state.me);
  const status = useChatState(({ presences }) => presences.get(me.id)?.status ?? 'offline');
  const openModal = useUiStore((ui) => ui.openModal);
  const endSession = () => withToast(() => chatStore.session.signOut());
  return (
    <footer className={styles.account}>
      <Menu
        trigger={
          <button type="button" className={styles.me}>
            <Avatar user={me} size={34} status={status} />
            <span className={styles.text}>
              <span className={styles.name}>{getDisplayName(me)}</span>
              <span className={styles.preview}>{t(`presence.${status}`)}</span>
            </span>
          </button>
        }
      >
        {STATUSES.map((one) => (
          <MenuItem key={one} onClick={() => withToast(() => chatStore.client.api.presence.set(one))}>
            <StatusDot status={one} />
            {t(`presence.${one === 'offline' ? 'invisible' : one}`)}
          </MenuItem>
        ))}
        <MenuSeparator />
        <MenuItem icon="gear" onClick={() => openModal({ kind: 'settings' })}>
          {t('settings.title')}
        </MenuItem>
        {me.is_operator && (
          <MenuItem icon="shield" onClick={() => navigate('/operator')}>
            {t('operator.title')}
          </MenuItem>
        )}
        <MenuItem icon="plug" onClick={() => navigate('/debug')}>
          {t('debug.title')}
        </MenuItem>
        <MenuItem
          icon="person"
          onClick={() => {
            signOut();
            location.assign('/');
          }}
        >
          {t('auth.switchAccount')}
        </MenuItem>
        <MenuItem icon="leave" onClick={endSession}>
          {t('auth.signOut')}
        </MenuItem>
      </Menu>
      <IconButton icon="gear" label={t('settings.title')} onClick={() => openModal({ kind: 'settings' })} />
    </footer>
  );
}
