import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import styles from './EmojiPicker.module.css';
import { allEmoji, type Emoji, GROUPS, matching, recent, remember } from './emoji';

/** As many stand in a line. */
const COLUMNS = 8;

/** All emoji, to search and to pick from. */
export function EmojiPicker({ onPick }: { readonly onPick: (emoji: string) => void }) {
  const { t } = useTranslation();
  const [all, setAll] = useState<readonly Emoji[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [asked, setAsked] = useState('');
  const [latest] = useState(recent);
  const grid = useRef<HTMLDivElement>(null);
  useEffect(() => {
    allEmoji().then(setAll, (error: Error) => setFailure(error.message));
  }, []);

  const pick = (emoji: string) => {
    remember(emoji);
    onPick(emoji);
  };
  const buttons = () => [...(grid.current?.querySelectorAll('button') ?? [])];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (!step) return;
    const every = buttons();
    const at = every.indexOf(document.activeElement as HTMLButtonElement);
    // In the line one writes in, only down leads into the emoji.
    if (at < 0 && event.key !== 'ArrowDown') return;
    event.preventDefault();
    every[at < 0 ? 0 : Math.max(0, Math.min(every.length - 1, at + step))]?.focus();
  };

  const found = all && asked.trim() ? matching(all, asked) : null;
  const sections = found
    ? [{ key: 'found', title: t('emoji.found'), list: found }]
    : [
        { key: 'recent', title: t('emoji.recent'), list: (all ?? []).filter(({ emoji }) => latest.includes(emoji)) },
        ...GROUPS.map((group) => ({
          key: String(group),
          title: t(`emoji.groups.${group}`),
          list: (all ?? []).filter((emoji) => emoji.group === group),
        })),
      ].filter(({ list }) => list.length > 0);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the arrows belong to everything in it
    <div className={styles.picker} onKeyDown={onKeyDown}>
      <input
        type="search"
        className={styles.search}
        placeholder={t('emoji.find')}
        aria-label={t('emoji.find')}
        value={asked}
        onChange={(event) => setAsked(event.target.value)}
        onKeyDown={(event) => {
          const [first] = found ?? [];
          if (event.key === 'Enter' && first) pick(first.emoji);
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
        {(failure ?? (found?.length === 0 ? t('emoji.none') : null)) && (
          <p role="status">{failure ?? t('emoji.none')}</p>
        )}
      </div>
    </div>
  );
}
