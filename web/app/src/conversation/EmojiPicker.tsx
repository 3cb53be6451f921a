import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isComposing } from '../ui/keyboard';
import styles from './EmojiPicker.module.css';
import {
  addRecentEmoji,
  type Emoji,
  GROUPS,
  getRecentEmoji,
  getSkinTone,
  loadEmoji,
  SKIN_TONES,
  searchEmoji,
  setSkinTone,
  withSkinTone,
} from './emoji';

/** Emoji per row. */
const COLUMNS = 8;

/** The emoji on the tabs, by section. */
const TAB_EMOJI: Readonly<Record<string, string>> = {
  recent: '🕘',
  0: '😀',
  1: '👋',
  3: '🐻',
  4: '🍎',
  5: '🚗',
  6: '⚽',
  7: '💡',
  8: '🔣',
  9: '🏁',
};

/** What is shown of the emoji under the pointer or the focus. */
interface Preview {
  readonly emoji: string;
  readonly annotation: string;
  readonly shortcode: string | undefined;
}

/** The emoji picker with a search field, tabs, the name of the emoji, and skin tones. */
export function EmojiPicker({ onPick }: { readonly onPick: (emoji: string) => void }) {
  const { t } = useTranslation();
  const [all, setAll] = useState<readonly Emoji[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [query, setQuery] = useState('');
  const [recent] = useState(getRecentEmoji);
  const [tone, setTone] = useState(getSkinTone);
  const [preview, setPreview] = useState<Preview | null>(null);
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
        { key: 'recent', title: t('emoji.recent'), list: findRecent(all ?? [], recent) },
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
      {!results && (
        <div className={styles.tabs}>
          {sections.map(({ key, title }) => (
            <button
              key={key}
              type="button"
              title={title}
              aria-label={title}
              onClick={() => grid.current?.querySelector(`[data-section="${key}"]`)?.scrollIntoView()}
            >
              {TAB_EMOJI[key]}
            </button>
          ))}
        </div>
      )}
      <div ref={grid} className={styles.grid} aria-busy={all === null && failure === null}>
        {sections.map(({ key, title, list }) => (
          <section key={key} className={styles.section} aria-label={title} data-section={key}>
            <h4>{title}</h4>
            <div className={styles.emoji}>
              {list.map((one) => {
                const emoji = key === 'recent' ? one.emoji : withSkinTone(one, tone);
                const show = () => setPreview({ emoji, annotation: one.annotation, shortcode: one.shortcodes?.[0] });
                return (
                  <button
                    key={one.emoji}
                    type="button"
                    aria-label={one.annotation}
                    onPointerEnter={show}
                    onFocus={show}
                    onClick={() => pick(emoji)}
                  >
                    {emoji}
                  </button>
                );
              })}
            </div>
          </section>
        ))}
        {(failure ?? (results?.length === 0 ? t('emoji.noResults') : null)) && (
          <p role="status">{failure ?? t('emoji.noResults')}</p>
        )}
      </div>
      <footer className={styles.footer}>
        <p className={styles.preview}>
          {preview && (
            <>
              <span>{preview.emoji}</span>
              <strong dir="auto">{preview.annotation}</strong>
              {preview.shortcode && <small dir="ltr">{`:${preview.shortcode}:`}</small>}
            </>
          )}
        </p>
        <div className={styles.tones} role="radiogroup" aria-label={t('emoji.skinTone')}>
          {SKIN_TONES.map((one) => (
            <label key={one}>
              <input
                type="radio"
                name="skinTone"
                className="visually-hidden"
                checked={one === tone}
                aria-label={t(`emoji.skinTones.${one}`)}
                onChange={() => {
                  setSkinTone(one);
                  setTone(one);
                }}
              />
              <i data-tone={one} />
            </label>
          ))}
        </div>
      </footer>
    </div>
  );
}

/** Finds the recently used emoji, also those with a skin tone, the latest first. */
function findRecent(all: readonly Emoji[], recent: readonly string[]): readonly Emoji[] {
  return recent.flatMap((used) => {
    const found = all.find((one) => one.emoji === used || one.skins?.some((skin) => skin.emoji === used));
    return found ? [{ ...found, emoji: used }] : [];
  });
}
