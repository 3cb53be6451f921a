import type { ChatSummary } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { formatRelativeTime } from '../locales/time';
import { Avatar } from '../members/Avatar';
import { type Panel, togglePanel, usePanel } from '../panels';
import { getChatTitle, getPeerId, useChatState } from '../store/hooks';
import { IconButton } from '../ui/Button';
import { ChatIcon } from '../ui/ChatIcon';
import { openPopup } from '../ui/popup';
import { useUiStore } from '../uiStore';
import styles from './ChatHeader.module.css';

/** The chat's title, subtitle and panel buttons. */
export function ChatHeader({ chat }: { readonly chat: ChatSummary }) {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const title = useChatState((state) => getChatTitle(state, chat));
  const peer = useChatState((state) => state.users.get(getPeerId(state, chat) ?? 0));
  const presence = useChatState(({ presences }) => presences.get(peer?.id ?? 0));
  const openModal = useUiStore((ui) => ui.openModal);
  const panel = usePanel((open) => open.panel);
  const isDirect = chat.type === 'single';
  const lastSeen =
    presence?.status === 'offline' && presence.last_seen
      ? t('presence.lastSeen', { ago: formatRelativeTime(presence.last_seen) })
      : null;
  const subtitle = isDirect
    ? (lastSeen ?? t(`presence.${presence?.status ?? 'offline'}`))
    : chat.topic || chat.description;
  const renderPanelButton = (targetPanel: Panel, icon: Parameters<typeof IconButton>[0]['icon'], label: string) => (
    <IconButton
      icon={icon}
      label={label}
      aria-pressed={panel === targetPanel}
      onClick={() => togglePanel(targetPanel)}
    />
  );
  return (
    <header className={styles.header}>
      <IconButton icon="back" label={t('backToChats')} className={styles.back ?? ''} onClick={() => navigate('/')} />
      {isDirect ? (
        <Avatar user={peer} size={30} status={presence?.status ?? 'offline'} />
      ) : (
        <ChatIcon type={chat.type} />
      )}
      <div className={styles.names}>
        <h2 className={styles.title}>
          <button
            type="button"
            dir="auto"
            onClick={({ currentTarget: anchor }) =>
              peer
                ? openPopup({ kind: 'user', anchor, userId: peer.id, chatId: chat.id })
                : openModal({ kind: 'chatSettings', chatId: chat.id })
            }
          >
            {title}
          </button>
        </h2>
        <p className={styles.about} dir="auto">
          {subtitle}
        </p>
      </div>
      {renderPanelButton('search', 'search', t('search.title'))}
      {renderPanelButton('pins', 'pin', t('pins.title'))}
      {!isDirect && renderPanelButton('members', 'people', t('members.title'))}
      <IconButton
        icon="info"
        label={t('chats.settings')}
        onClick={() => openModal({ kind: 'chatSettings', chatId: chat.id })}
      />
    </header>
  );
}
