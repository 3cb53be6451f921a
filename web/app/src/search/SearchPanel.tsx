import type { Message, SearchQuery } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getErrorMessage } from '../locales/errorMessage';
import { SidePanel } from '../SidePanel';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError } from '../ui/Field';
import { withToast } from '../ui/toast';
import { SearchResults } from './SearchResults';
import styles from './SearchResults.module.css';

/** Debounce of the search, in milliseconds. */
const DEBOUNCE_MS = 250;

/** The search filters. */
type SearchFilters = Pick<SearchQuery, 'chat_id' | 'has'>;

interface LoadedResults {
  readonly messages: readonly Message[];
  readonly next: string | null;
}

/** Searches messages in this chat or in all chats. */
export default function SearchPanel({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [query, setQuery] = useState('');
  const [isThisChatOnly, setIsThisChatOnly] = useState(false);
  const [hasFile, setHasFile] = useState(false);
  const [results, setResults] = useState<LoadedResults | null>(null);
  const [error, setError] = useState<string | null>(null);

  const filters: SearchFilters = { ...(isThisChatOnly && { chat_id: chatId }), ...(hasFile && { has: 'file' }) };
  const filtersKey = JSON.stringify(filters);
  useEffect(() => {
    const q = query.trim();
    setError(null);
    if (!q) {
      setResults(null);
      return;
    }
    let isCancelled = false;
    const timer = setTimeout(async () => {
      try {
        const page = await chatStore.client.api.search({ q, ...(JSON.parse(filtersKey) as SearchFilters), limit: 25 });
        if (isCancelled) return;
        chatStore.users.ensure(page.items.flatMap(({ sender_id }) => sender_id ?? []));
        setResults({ messages: page.items, next: page.next });
      } catch (error) {
        if (!isCancelled) setError(getErrorMessage(error));
      }
    }, DEBOUNCE_MS);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  }, [query, filtersKey, chatStore]);

  const loadMore = () =>
    withToast(async () => {
      if (!results?.next) return;
      const page = await chatStore.client.api.searchNext(results.next);
      chatStore.users.ensure(page.items.flatMap(({ sender_id }) => sender_id ?? []));
      // The query may have changed meanwhile.
      setResults((now) =>
        now === results ? { messages: [...results.messages, ...page.items], next: page.next } : now,
      );
    });

  return (
    <SidePanel title={t('search.title')} label={t('search.title')}>
      <search className={styles.form}>
        <Field
          label={t('search.query')}
          type="search"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          autoFocus
        />
        <label>
          <input
            type="checkbox"
            checked={isThisChatOnly}
            onChange={(event) => setIsThisChatOnly(event.target.checked)}
          />
          {t('search.thisChatOnly')}
        </label>
        <label>
          <input type="checkbox" checked={hasFile} onChange={(event) => setHasFile(event.target.checked)} />
          {t('search.withFilesOnly')}
        </label>
      </search>
      <FormError>{error}</FormError>
      <div aria-live="polite">
        {results &&
          (results.messages.length > 0 ? (
            <SearchResults messages={results.messages} showsChat={!isThisChatOnly} />
          ) : (
            <p className={styles.empty}>{t('search.noResults')}</p>
          ))}
        {!results && <p className={styles.empty}>{t('search.hint')}</p>}
      </div>
      {results?.next && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </SidePanel>
  );
}
