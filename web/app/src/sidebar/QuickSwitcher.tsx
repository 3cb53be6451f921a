import { Dialog } from '@base-ui/react/dialog';
import { type KeyboardEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { getChatTitle, getLastActivityAt, useChatState } from '../store/hooks';
import { Icon } from '../ui/Icon';
import { useUiStore } from '../uiStore';
import listStyles from './lists.module.css';
import styles from './QuickSwitcher.module.css';

/** Opens a chat by part of its name. */
export function QuickSwitcher() {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [, navigate] = useLocation();
  const [query, setQuery] = useState('');
  const [activeIndex, setActiveIndex] = useState(0);
  const chats = useChatState((state) =>
    [...state.chats.values()].sort((one, other) => getLastActivityAt(other).localeCompare(getLastActivityAt(one))),
  );
  const titles = useChatState((state) => chats.map((chat) => getChatTitle(state, chat)));
  const text = query.trim().toLowerCase();
  const matches = chats
    .map((chat, index) => ({ chat, title: titles[index] ?? '' }))
    .filter(({ title }) => title.toLowerCase().includes(text))
    .sort(
      (one, other) =>
        Number(other.title.toLowerCase().startsWith(text)) - Number(one.title.toLowerCase().startsWith(text)),
    )
    .slice(0, 12);
  const activeMatch = matches[Math.min(activeIndex, matches.length - 1)];

  const openChat = (chatId: number | undefined) => {
    if (chatId === undefined) return;
    closeModal();
    navigate(`/chats/${chatId}`);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setActiveIndex(
        (now) => (Math.min(now, matches.length - 1) + step + matches.length) % Math.max(matches.length, 1),
      );
    } else if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
      event.preventDefault();
      openChat(activeMatch?.chat.id);
    }
  };

  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && closeModal()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={t('chats.search')}>
          <input
            className={styles.input}
            placeholder={t('chats.search')}
            aria-label={t('chats.search')}
            role="combobox"
            aria-expanded="true"
            aria-controls="switcher-list"
            aria-activedescendant={activeMatch && `switch-${activeMatch.chat.id}`}
            value={query}
            onChange={(event) => {
              setQuery(event.target.value);
              setActiveIndex(0);
            }}
            onKeyDown={onKeyDown}
          />
          <div id="switcher-list" role="listbox" aria-label={t('chats.title')} className={styles.list}>
            {matches.map(({ chat, title }) => (
              <button
                type="button"
                key={chat.id}
                id={`switch-${chat.id}`}
                role="option"
                tabIndex={-1}
                aria-selected={chat === activeMatch?.chat}
                data-selected={chat === activeMatch?.chat}
                className={listStyles.item}
                onClick={() => openChat(chat.id)}
              >
                <Icon name={chat.type === 'single' ? 'person' : chat.type === 'group' ? 'people' : 'hash'} size={18} />
                <span>{title}</span>
              </button>
            ))}
          </div>
          {matches.length === 0 && <p className={listStyles.empty}>{t('chats.noResults')}</p>}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
