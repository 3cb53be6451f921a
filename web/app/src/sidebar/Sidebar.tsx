import type { ChatSummary, Status } from '@confab/sdk';
import { type CSSProperties, type DragEvent, memo, type PointerEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';
import { listAccounts, switchAccount } from '../auth/accounts';
import { loadDraftText } from '../conversation/drafts';
import { useMessageSummary } from '../conversation/useMessageSummary';
import { formatCount } from '../locales/format';
import { direction } from '../locales/language';
import { formatShortTime } from '../locales/time';
import { useToday } from '../locales/useToday';
import { Avatar } from '../members/Avatar';
import { CustomStatusEmoji, CustomStatusText, useCustomStatus } from '../members/CustomStatus';
import {
  getAuthorName,
  getChatTitle,
  getDisplayName,
  getPeerId,
  parseChatId,
  useChatState,
  useChatStore,
} from '../store/hooks';
import { AvatarImage } from '../ui/AvatarImage';
import { IconButton } from '../ui/Button';
import { ChatIcon } from '../ui/ChatIcon';
import { Icon } from '../ui/Icon';
import { formatShortcut } from '../ui/keyboard';
import { Menu, MenuItem, MenuSeparator } from '../ui/Menu';
import { type MenuEntry, openPopup } from '../ui/popup';
import { StatusDot } from '../ui/StatusDot';
import { withToast } from '../ui/toast';
import { useContextMenu } from '../ui/useContextMenu';
import { useUiStore } from '../uiStore';
import { listChatEntries, markAllRead } from './chatActions';
import { getSectionChats } from './chatOrder';
import styles from './Sidebar.module.css';
import {
  moveFavorite,
  removeFavorite,
  SECTIONS,
  type Section,
  setWidth,
  toggleSection,
  toggleUnreadOnly,
  useSidebar,
  WIDTH,
} from './sidebarStore';

const STATUSES: readonly Status[] = ['online', 'away', 'busy', 'offline'];

/** The list of chats and the account menu. */
export function Sidebar() {
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  const { width, isUnreadOnly } = useSidebar();
  return (
    <nav
      className={styles.sidebar}
      aria-label={t('chats.title')}
      style={{ '--sidebar-width': `${width}px` } as CSSProperties}
    >
      <header className={styles.header}>
        <h1>Confab</h1>
        <SidebarMenu />
        <IconButton icon="add" label={t('chats.new')} onClick={() => openModal({ kind: 'newChat' })} />
      </header>
      <button type="button" className={styles.searchButton} onClick={() => openModal({ kind: 'switcher' })}>
        <Icon name="search" size={16} />
        {t('chats.search')}
        <kbd>{formatShortcut('k')}</kbd>
      </button>
      <InboxLink />
      <SavedLink />
      <div className={styles.scroll}>
        {isUnreadOnly && (
          <button type="button" className={styles.filter} onClick={toggleUnreadOnly}>
            {t('chats.unreadOnly')}
            <Icon name="close" size={12} />
          </button>
        )}
        {SECTIONS.map((section) => (
          <ChatSection key={section} section={section} />
        ))}
      </div>
      <AccountMenu />
      <ResizeHandle />
    </nav>
  );
}

/** What concerns the whole list. */
function SidebarMenu() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const isUnreadOnly = useSidebar((sidebar) => sidebar.isUnreadOnly);
  const entries: MenuEntry[] = [
    { key: 'browse', icon: 'hash', label: t('chats.browse'), run: () => openModal({ kind: 'browseChannels' }) },
    { key: 'drafts', icon: 'edit', label: t('chats.drafts'), run: () => openModal({ kind: 'drafts' }) },
    null,
    {
      key: 'unreadOnly',
      icon: isUnreadOnly ? 'check' : 'eyeOff',
      label: isUnreadOnly ? t('chats.showAll') : t('chats.unreadOnly'),
      run: toggleUnreadOnly,
    },
    { key: 'markAllRead', icon: 'checks', label: t('chats.markAllRead'), run: () => markAllRead(chatStore) },
  ];
  return (
    <IconButton
      icon="more"
      label={t('chats.listMenu')}
      aria-haspopup="menu"
      onClick={({ currentTarget: anchor }) => openPopup({ kind: 'menu', label: t('chats.listMenu'), anchor, entries })}
    />
  );
}

/** Changes the width of the sidebar, by the pointer and by the arrow keys. */
function ResizeHandle() {
  const { t } = useTranslation();
  const width = useSidebar((sidebar) => sidebar.width);
  const sign = direction === 'rtl' ? -1 : 1;
  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    const { currentTarget: handle, clientX: start, pointerId } = event;
    handle.setPointerCapture(pointerId);
    const onMove = ({ clientX }: globalThis.PointerEvent) => setWidth(width + sign * (clientX - start));
    handle.addEventListener('pointermove', onMove);
    handle.addEventListener('lostpointercapture', () => handle.removeEventListener('pointermove', onMove), {
      once: true,
    });
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a separator that can be moved is no line
    <div
      role="separator"
      aria-orientation="vertical"
      aria-label={t('chats.resize')}
      aria-valuenow={width}
      aria-valuemin={WIDTH.min}
      aria-valuemax={WIDTH.max}
      tabIndex={0}
      className={styles.resize}
      onPointerDown={onPointerDown}
      onDoubleClick={() => setWidth(WIDTH.initial)}
      onKeyDown={({ key }) => {
        const step = { ArrowLeft: -16, ArrowRight: 16 }[key];
        if (step) setWidth(width + sign * step);
      }}
    />
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
          {formatCount(count)}
          <span className="visually-hidden"> {t('inbox.unseen')}</span>
        </b>
      )}
    </Link>
  );
}

/** The link to the saved messages. */
function SavedLink() {
  const { t } = useTranslation();
  const [path] = useLocation();
  return (
    <Link href="/saved" className={styles.inbox} aria-current={path === '/saved' ? 'page' : undefined}>
      <Icon name="bookmark" size={16} />
      {t('saved.title')}
    </Link>
  );
}

function ChatSection({ section }: { readonly section: Section }) {
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  const [path] = useLocation();
  const openChatId = parseChatId(path);
  // Both change what the section contains.
  useSidebar(({ favorites, isUnreadOnly }) => `${favorites.join()} ${isUnreadOnly}`);
  const chats = useChatState((state) => getSectionChats(state, section, openChatId));
  const isFolded = useSidebar(({ folded }) => folded.includes(section));
  const isFavorites = section === 'favorites';
  const isUnreadOnly = useSidebar((sidebar) => sidebar.isUnreadOnly);
  // The other sections offer what to add.
  if (chats.length === 0 && (isFavorites || isUnreadOnly)) return null;
  // A folded section still shows what is unread.
  const shown = isFolded
    ? chats.filter((chat) => chat.id === openChatId || (chat.unread_count > 0 && !chat.is_muted))
    : chats;
  const onDrop = (event: DragEvent, before: number | null) => {
    const chatId = Number(event.dataTransfer.getData(DRAG_TYPE));
    if (!chatId) return;
    event.preventDefault();
    event.stopPropagation();
    if (isFavorites) moveFavorite(chatId, before);
    else removeFavorite(chatId);
  };
  const allowDrop = (event: DragEvent) => event.dataTransfer.types.includes(DRAG_TYPE) && event.preventDefault();
  return (
    <section aria-label={t(`chats.${section}`)} onDragOver={allowDrop} onDrop={(event) => onDrop(event, null)}>
      <header className={styles.sectionHeader}>
        <h2 className={styles.heading}>
          <button type="button" aria-expanded={!isFolded} onClick={() => toggleSection(section)}>
            <Icon name="chevron" size={12} />
            {t(`chats.${section}`)}
          </button>
        </h2>
        {!isFavorites && (
          <IconButton
            icon="add"
            size={14}
            label={section === 'channels' ? t('chats.addChannel') : t('chats.newDirect')}
            onClick={() => openModal(section === 'channels' ? { kind: 'browseChannels' } : { kind: 'newChat' })}
          />
        )}
      </header>
      <ul>
        {shown.map((chat) => (
          <li
            key={chat.id}
            draggable
            onDragStart={({ dataTransfer }) => dataTransfer.setData(DRAG_TYPE, String(chat.id))}
            onDragOver={allowDrop}
            onDrop={(event) => onDrop(event, chat.id)}
          >
            <ChatListItem chat={chat} isOpen={chat.id === openChatId} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The type of what is dragged: the id of a chat. */
const DRAG_TYPE = 'application/x-confab-chat';

const ChatListItem = memo(function ChatListItem({
  chat,
  isOpen,
}: {
  readonly chat: ChatSummary;
  readonly isOpen: boolean;
}) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const title = useChatState((state) => getChatTitle(state, chat));
  const peer = useChatState((state) => state.users.get(getPeerId(state, chat) ?? 0));
  const draft = loadDraftText(chatStore, chat.id);
  const hasUnread = chat.unread_count > 0 && !isOpen && !chat.is_muted;
  const badge = chat.type === 'single' ? chat.unread_count : chat.mention_count;
  const menu = useContextMenu(
    (anchor) => openPopup({ kind: 'menu', anchor, label: title, entries: listChatEntries(chatStore, t, chat) }),
    true,
  );
  return (
    <div {...menu}>
      <Link
        href={`/chats/${chat.id}`}
        className={styles.row}
        draggable={false}
        aria-current={isOpen ? 'page' : undefined}
        data-unread={hasUnread}
        data-muted={chat.is_muted}
      >
        <ChatAvatar chat={chat} />
        <span className={styles.text}>
          <span className={styles.title} dir="auto">
            {title} <CustomStatusEmoji user={peer} />
          </span>
          <Preview chat={chat} draft={isOpen ? '' : draft} />
        </span>
        <span className={styles.meta}>
          {chat.last_message && <ShortTime at={chat.last_message.created_at} />}
          {hasUnread &&
            (badge > 0 ? (
              <b className={styles.badge}>
                {formatCount(badge)}
                <span className="visually-hidden"> {t('chats.unread')}</span>
              </b>
            ) : (
              <i className={styles.dot}>
                <span className="visually-hidden">
                  {formatCount(chat.unread_count)} {t('chats.unread')}
                </span>
              </i>
            ))}
          {chat.is_muted && <Icon name="mute" size={14} />}
        </span>
      </Link>
    </div>
  );
});

/** The time of the last message; it becomes a day at midnight. */
function ShortTime({ at }: { readonly at: string }) {
  useToday();
  return <time dateTime={at}>{formatShortTime(at)}</time>;
}

/** The avatar of a direct chat, or the icon of the chat type. */
function ChatAvatar({ chat }: { readonly chat: ChatSummary }) {
  const peer = useChatState((state) => state.users.get(getPeerId(state, chat) ?? 0));
  const status = useChatState((state) => state.presences.get(getPeerId(state, chat) ?? 0)?.status ?? 'offline');
  if (chat.type === 'single') return <Avatar user={peer} size={32} status={status} />;
  return (
    <span className={styles.icon}>
      <ChatIcon type={chat.type} size={18} />
    </span>
  );
}

function Preview({ chat, draft }: { readonly chat: ChatSummary; readonly draft: string }) {
  const { t } = useTranslation();
  const last = chat.last_message;
  const senderName = useChatState(({ users, me }) =>
    last?.sender_id === me.id ? t('you') : getAuthorName(last, users.get(last?.sender_id ?? 0)),
  );
  const text = useMessageSummary(last);
  if (draft) {
    return (
      <span className={styles.preview}>
        <em>{t('chats.draft')}</em> {draft}
      </span>
    );
  }
  if (!last) return <span className={styles.preview}>{chat.topic || chat.description}</span>;
  const showsSender = last.kind !== 'system' && (chat.type !== 'single' || senderName === t('you'));
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
  const custom = useCustomStatus(me);
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
              <span className={styles.preview}>
                {custom ? <CustomStatusText user={me} /> : t(`presence.${status}`)}
              </span>
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
        <MenuItem icon="emoji" onClick={() => openModal({ kind: 'status' })}>
          {t('status.title')}
        </MenuItem>
        <MenuSeparator />
        <MenuItem icon="gear" onClick={() => openModal({ kind: 'settings' })}>
          {t('settings.title')}
        </MenuItem>
        {me.is_operator && (
          <MenuItem icon="shield" onClick={() => navigate('/operator')}>
            {t('operator.title')}
          </MenuItem>
        )}
        <MenuSeparator />
        {listAccounts()
          .filter(({ id }) => id !== me.id)
          .map((account) => (
            <MenuItem key={account.id} onClick={() => switchAccount(account)}>
              <AvatarImage name={account.displayName || account.username} seed={account.username} size={18} />
              {t('auth.switchTo', { name: account.displayName || account.username })}
            </MenuItem>
          ))}
        <MenuItem icon="add" onClick={() => switchAccount(null)}>
          {t('auth.addAccount')}
        </MenuItem>
        <MenuItem icon="leave" onClick={endSession}>
          {t('auth.signOut')}
        </MenuItem>
      </Menu>
      <IconButton icon="gear" label={t('settings.title')} onClick={() => openModal({ kind: 'settings' })} />
    </footer>
  );
}
