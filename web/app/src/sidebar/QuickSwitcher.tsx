import { Dialog } from '@base-ui/react/dialog';
import type { Chat, User } from '@confab/sdk';
import { type KeyboardEvent, type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Avatar } from '../members/Avatar';
import { openDirectChat } from '../members/memberActions';
import { openPanel } from '../panels';
import { changeSearch } from '../search/searchStore';
import { hasDirectChats } from '../store/chatState';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { ChatIcon } from '../ui/ChatIcon';
import { Icon } from '../ui/Icon';
import { isComposing } from '../ui/keyboard';
import { withToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import listStyles from './lists.module.css';
import styles from './QuickSwitcher.module.css';
import { type MatchingChat, useMatchingChats } from './useMatchingChats';

/** Maximum number of people, and of channels of the server, that are listed. */
const MAX_OTHERS = 5;

/** Debounce of the requests to the server, in milliseconds. */
const DEBOUNCE_MS = 150;

interface Entry {
  readonly key: string;
  readonly icon: ReactNode;
  readonly label: string;
  readonly hint?: string;
  readonly run: () => void;
}

/** Finds chats, people and public channels by part of a name, and starts a message search. */
export function QuickSwitcher() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [path, navigate] = useLocation();
  const [query, setQuery] = useState('');
  const [activeIndex, setActiveIndex] = useState(0);
  const text = query.trim().toLowerCase();
  const chats = useMatchingChats(text);
  const { people, channels } = useServerMatches(text, chats);
  const open = (target: string) => {
    closeModal();
    navigate(target);
  };
  const join = (channel: Chat) =>
    withToast(async () => {
      await chatStore.client.api.chats.join(channel.id);
      await chatStore.ensureChat(channel.id);
      open(`/chats/${channel.id}`);
    });
  const searchMessages = () => {
    closeModal();
    changeSearch(chatStore, { text: query.trim(), filters: [] });
    // The panel is beside a chat.
    const latest = chats[0]?.chat.id ?? [...(chatStore.state?.chats.keys() ?? [])][0];
    if (!path.startsWith('/chats/') && latest !== undefined) navigate(`/chats/${latest}`);
    openPanel('search');
  };
  const entries: Entry[] = [
    ...chats.map(({ chat, title, peer }) => ({
      key: `chat-${chat.id}`,
      icon: peer ? <Avatar user={peer} size={20} /> : <ChatIcon type={chat.type} size={18} />,
      label: title,
      run: () => open(`/chats/${chat.id}`),
    })),
    ...people.map((user) => ({
      key: `user-${user.id}`,
      icon: <Avatar user={user} size={20} />,
      label: getDisplayName(user),
      hint: `@${user.username}`,
      run: () => {
        closeModal();
        void openDirectChat(chatStore, user.id, navigate);
      },
    })),
    ...channels.map((channel) => ({
      key: `channel-${channel.id}`,
      icon: <Icon name="join" size={18} />,
      label: channel.name,
      hint: t('chats.join'),
      run: () => void join(channel),
    })),
    ...(text === '' || chatStore.state?.chats.size === 0
      ? []
      : [
          {
            key: 'search',
            icon: <Icon name="search" size={18} />,
            label: t('chats.searchMessages', { text: query.trim() }),
            run: searchMessages,
          },
        ]),
  ];
  const active = entries[Math.min(activeIndex, entries.length - 1)];
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setActiveIndex(
        (now) => (Math.min(now, entries.length - 1) + step + entries.length) % Math.max(entries.length, 1),
      );
    } else if (event.key === 'Enter') {
      event.preventDefault();
      active?.run();
    }
  };

  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && closeModal()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={t('chats.search')}>
          <input
            className={styles.input}
            dir="auto"
            placeholder={t('chats.searchHint')}
            aria-label={t('chats.search')}
            role="combobox"
            aria-expanded="true"
            aria-controls="switcher-list"
            aria-activedescendant={active && `switch-${active.key}`}
            value={query}
            onChange={(event) => {
              setQuery(event.target.value);
              setActiveIndex(0);
            }}
            onKeyDown={onKeyDown}
          />
          <div id="switcher-list" role="listbox" aria-label={t('chats.title')} className={styles.list}>
            {entries.map((entry) => (
              <button
                type="button"
                key={entry.key}
                id={`switch-${entry.key}`}
                role="option"
                tabIndex={-1}
                aria-selected={entry === active}
                className={listStyles.item}
                onClick={entry.run}
              >
                {entry.icon}
                <span dir="auto">{entry.label}</span>
                {entry.hint && <small>{entry.hint}</small>}
              </button>
            ))}
          </div>
          {entries.length === 0 && <p className={listStyles.empty}>{t('chats.noResults')}</p>}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** The people and the public channels of the server that match a text and are not among the chats. */
function useServerMatches(text: string, chats: readonly MatchingChat[]) {
  const { client } = useChatStore();
  const myId = useChatState(({ me }) => me.id);
  const joinedIds = useChatState((state) => [...state.chats.keys()]);
  const [found, setFound] = useState<{
    /** What was searched. */
    readonly text: string;
    readonly people: readonly User[];
    readonly channels: readonly Chat[];
  } | null>(null);
  useEffect(() => {
    if (text === '') return;
    let isCancelled = false;
    const timer = setTimeout(async () => {
      const [people, channels] = await Promise.all([
        client.api.users.search(text, MAX_OTHERS * 2).catch(() => []),
        client.api.chats.listChannels({ q: text, limit: MAX_OTHERS * 2 }).then(
          ({ items }) => items,
          () => [],
        ),
      ]);
      if (!isCancelled) setFound({ text, people, channels });
    }, DEBOUNCE_MS);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [client, text]);
  // Results of another text would be chosen by mistake.
  if (found?.text !== text) return { people: [], channels: [] };
  const listed = chats.map(({ peer }) => peer?.id);
  return {
    people: found.people
      .filter((user) => user.id !== myId && hasDirectChats(user) && !listed.includes(user.id))
      .slice(0, MAX_OTHERS),
    channels: found.channels.filter(({ id }) => !joinedIds.includes(id)).slice(0, MAX_OTHERS),
  };
}
