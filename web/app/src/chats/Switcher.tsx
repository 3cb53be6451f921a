import { Dialog } from '@base-ui/react/dialog';
import { type KeyboardEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Icon } from '../ui/Icon';
import { useView } from '../view';
import { activityOf, titleOf, useWorld } from '../world/use';
import lists from './lists.module.css';
import styles from './Switcher.module.css';

/** Goes to a chat by a few letters of its name. */
export function Switcher() {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  const [, go] = useLocation();
  const [asked, setAsked] = useState('');
  const [nth, setNth] = useState(0);
  const all = useWorld((world) =>
    [...world.chats.values()].sort((one, other) => activityOf(other).localeCompare(activityOf(one))),
  );
  const titles = useWorld((world) => all.map((row) => titleOf(world, row)));
  const words = asked.trim().toLowerCase();
  const found = all
    .map((row, index) => ({ row, title: titles[index] ?? '' }))
    .filter(({ title }) => title.toLowerCase().includes(words))
    .sort(
      (one, other) =>
        Number(other.title.toLowerCase().startsWith(words)) - Number(one.title.toLowerCase().startsWith(words)),
    )
    .slice(0, 12);
  const chosen = found[Math.min(nth, found.length - 1)];

  const enter = (chatId: number | undefined) => {
    if (chatId === undefined) return;
    close();
    go(`/chats/${chatId}`);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setNth((now) => (Math.min(now, found.length - 1) + step + found.length) % Math.max(found.length, 1));
    } else if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
      event.preventDefault();
      enter(chosen?.row.id);
    }
  };

  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className={styles.backdrop} />
        <Dialog.Popup className={styles.popup} aria-label={t('chats.find')}>
          <input
            className={styles.input}
            placeholder={t('chats.find')}
            aria-label={t('chats.find')}
            role="combobox"
            aria-expanded="true"
            aria-controls="switcher-list"
            aria-activedescendant={chosen && `switch-${chosen.row.id}`}
            value={asked}
            onChange={(event) => {
              setAsked(event.target.value);
              setNth(0);
            }}
            onKeyDown={onKeyDown}
          />
          <div id="switcher-list" role="listbox" aria-label={t('chats.title')} className={styles.list}>
            {found.map(({ row, title }) => (
              <button
                type="button"
                key={row.id}
                id={`switch-${row.id}`}
                role="option"
                tabIndex={-1}
                aria-selected={row === chosen?.row}
                data-on={row === chosen?.row}
                className={lists.item}
                onClick={() => enter(row.id)}
              >
                <Icon name={row.type === 'single' ? 'person' : row.type === 'group' ? 'people' : 'hash'} size={18} />
                <span>{title}</span>
              </button>
            ))}
          </div>
          {found.length === 0 && <p className={lists.none}>{t('chats.noneFound')}</p>}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
