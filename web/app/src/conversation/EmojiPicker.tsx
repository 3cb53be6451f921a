import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isComposing } from '../ui/keyboard';
import styles from './EmojiPicker.module.css';
import { addRecentEmoji, type Emoji, GROUPS, getRecentEmoji, loadEmoji, searchEmoji } from './emoji';

/** Emoji per row. */
const COLUMNS = 8;

/** The emoji picker with a search field. */
export function EmojiPicker({ onPick }: { readonly onPick: (emoji: string) => void }) {
  const { t } = useTranslation();
  const [all, setAll] = useState<readonly Emoji[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [query, setQuery] = useState('');
  const [recent] = useState(getRecentEmoji);
  const grid = useRef<HTMLDivElement>(null);
  useEffect(() => {
    loadEmoji().then(setAll, (error: Error) => setFailure(error.message));
  }, []);

  const pick = (emoji: string) => {
    addRecentEmoji(emoji);
    onPick(emoji);
  };
  const getButtons = () => [...(grid.current?.querySelectorAll('button') ?? [])];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (!step) return;
    const buttons = getButtons();
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    // From the search field, only ArrowDown moves into the grid.
    if (at < 0 && event.key !== 'ArrowDown') return;
    event.preventDefault();
    buttons[at < 0 ? 0 : Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
  };

  const results = all && query.trim() ? searchEmoji(all, query) : null;
  const sections = results
    ? [{ key: 'found', title: t('emoji.results'), list: results }]
    : [
        { key: 'recent', title: t('emoji.recent'), list: (all ?? []).filter(({ emoji }) => recent.includes(emoji)) },
        ...GROUPS.map((group) => ({
          key: String(group),
          title: t(`emoji.groups.${group}`),
          list: (all ?? []).filter((emoji) => emoji.group === group),
        })),
      ].filter(({ list }) => list.length > 0);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the arrow keys work on the whole picker
    <div className={styles.picker} onKeyDown={onKeyDown}>
      <input
        type="search"
        className={styles.search}
        placeholder={t('emoji.search')}
        aria-label={t('emoji.search')}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        onKeyDown={(event) => {
          const [first] = results ?? [];
          if (event.key !== 'Enter' || isComposing(event)) return;
          // Otherwise the key would reach the field that gets the focus.
          event.preventDefault();
          if (first) pick(first.emoji);
        }}
      />
      <div ref={grid} className={styles.grid} aria-busy={all === null && failure === null}>
        {sections.map(({ key, title, list }) => (
          <section key={key} className={styles.section} aria-label={title}>
            <h4>{title}</h4>
            <div className={styles.emoji}>
              {list.map(({ emoji, annotation }) => (
                <button
                  key={emoji}
                  type="button"
                  title={annotation}
                  aria-label={annotation}
                  onClick={() => pick(emoji)}
                >
                  {emoji}
                </button>
              ))}
            </div>
          </section>
        ))}
        {(failure ?? (results?.length === 0 ? t('emoji.noResults') : null)) && (
          <p role="status">{failure ?? t('emoji.noResults')}</p>
        )}
      </div>
    </div>
  );
}
