import { type KeyboardEvent, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { SidePanel } from '../SidePanel';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { Icon } from '../ui/Icon';
import { isComposing } from '../ui/keyboard';
import { SearchResults } from './SearchResults';
import styles from './SearchResults.module.css';
import { getSearchedWords, OPERATORS, type SearchFilter, type SearchOrder, withoutOperator } from './searchQuery';
import { changeSearch, loadMoreResults, useSearch } from './searchStore';
import { useFilterSuggestions } from './useFilterSuggestions';

/** Searches messages in all chats of the user. */
export default function SearchPanel({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const field = useRef<HTMLInputElement>(null);
  const { input, results, error, isBusy } = useSearch();
  const { text, filters, order } = input;
  const suggestions = useFilterSuggestions(text, chatId);
  const [activeIndex, setActiveIndex] = useState(0);
  const active = suggestions[Math.min(activeIndex, suggestions.length - 1)];
  const change = (next: Parameters<typeof changeSearch>[1]) => {
    setActiveIndex(0);
    changeSearch(chatStore, next);
  };
  const addFilter = (filter: SearchFilter) => {
    const others = filters.filter(({ operator }) => operator !== filter.operator);
    change({ text: withoutOperator(text), filters: [...others, filter] });
    field.current?.focus();
  };
  const removeFilter = (filter: SearchFilter) => {
    change({ filters: filters.filter((one) => one !== filter) });
    field.current?.focus();
  };
  const startOperator = (operator: string) => {
    change({ text: `${text.trimEnd()} ${operator}:`.trimStart() });
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const last = filters.at(-1);
    if (event.key === 'Backspace' && text === '' && last) removeFilter(last);
    else if (suggestions.length === 0) return;
    else if (step) setActiveIndex((activeIndex + step + suggestions.length) % suggestions.length);
    else if ((event.key === 'Enter' || event.key === 'Tab') && active) addFilter(active);
    else return;
    event.preventDefault();
  };
  return (
    <SidePanel title={t('search.title')} label={t('search.title')}>
      <search className={styles.form}>
        <div className={styles.query}>
          <Icon name="search" size={16} />
          {filters.map((filter) => (
            <button
              key={filter.operator}
              type="button"
              className={styles.chip}
              aria-label={t('search.removeFilter', {
                name: `${t(`search.operators.${filter.operator}`)} ${filter.label}`,
              })}
              onClick={() => removeFilter(filter)}
            >
              <span>
                {t(`search.operators.${filter.operator}`)} <b dir="auto">{filter.label}</b>
              </span>
              <Icon name="close" size={12} />
            </button>
          ))}
          <input
            ref={field}
            type="text"
            inputMode="search"
            dir="auto"
            role="combobox"
            aria-label={t('search.query')}
            aria-expanded={suggestions.length > 0}
            aria-controls="search-filters"
            aria-activedescendant={active && `filter-${active.value}`}
            placeholder={filters.length === 0 ? t('search.query') : ''}
            value={text}
            // biome-ignore lint/a11y/noAutofocus: the user has just opened the search
            autoFocus
            onChange={(event) => change({ text: event.target.value })}
            onKeyDown={onKeyDown}
          />
          {(text !== '' || filters.length > 0) && (
            <button
              type="button"
              className={styles.clear}
              aria-label={t('search.clear')}
              onClick={() => change({ text: '', filters: [] })}
            >
              <Icon name="close" size={14} />
            </button>
          )}
        </div>
        {suggestions.length > 0 && (
          <div id="search-filters" role="listbox" aria-label={t('search.filters')} className={styles.suggestions}>
            {suggestions.map((one) => (
              <button
                key={`${one.operator} ${one.value}`}
                id={`filter-${one.value}`}
                type="button"
                role="option"
                tabIndex={-1}
                aria-selected={one === active}
                onClick={() => addFilter(one)}
              >
                <small>{t(`search.operators.${one.operator}`)}</small>
                <span dir="auto">{one.label}</span>
              </button>
            ))}
          </div>
        )}
        {suggestions.length === 0 && (
          <fieldset className={styles.operators} aria-label={t('search.filters')}>
            {OPERATORS.filter((name) => !filters.some(({ operator }) => operator === name)).map((name) => (
              <button key={name} type="button" onClick={() => startOperator(name)}>
                {t(`search.operators.${name}`)}
              </button>
            ))}
          </fieldset>
        )}
        {results && (
          <SelectField
            label={t('search.order')}
            value={order}
            onChange={(event) => change({ order: event.target.value as SearchOrder })}
          >
            <option value="best">{t('search.orders.best')}</option>
            <option value="newest">{t('search.orders.newest')}</option>
          </SelectField>
        )}
      </search>
      <FormError>{error}</FormError>
      <div aria-live="polite" aria-busy={isBusy}>
        {results &&
          (results.messages.length > 0 ? (
            <SearchResults messages={results.messages} showsChat words={getSearchedWords(text)} />
          ) : (
            <p className={styles.empty}>{t('search.noResults')}</p>
          ))}
        {!results && !error && <p className={styles.empty}>{isBusy ? t('loading') : t('search.hint')}</p>}
      </div>
      {results?.next && <Button onClick={() => loadMoreResults(chatStore)}>{t('search.loadMore')}</Button>}
    </SidePanel>
  );
}
