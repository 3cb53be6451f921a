import type { Message } from '@confab/sdk';
import { create } from 'zustand';
import { getErrorMessage } from '../locales/errorMessage';
import type { ChatStore } from '../store/chatStore';
import { withToast } from '../ui/toast';
import { buildQuery, type SearchInput } from './searchQuery';

/** Debounce of the search, in milliseconds. */
const DEBOUNCE_MS = 250;

/** Results on one page. */
const PAGE_SIZE = 25;

/** The search panel. It is kept while results are opened and the panel is closed. */
interface SearchState {
  readonly input: SearchInput;
  /** Null while nothing is searched. */
  readonly results: { readonly messages: readonly Message[]; readonly next: string | null } | null;
  readonly error: string | null;
  readonly isBusy: boolean;
}

const EMPTY: SearchState = {
  input: { text: '', filters: [], order: 'best' },
  results: null,
  error: null,
  isBusy: false,
};

/** The store of the search panel. */
export const useSearch = create<SearchState>(() => EMPTY);

let timer: ReturnType<typeof setTimeout>;
/** Counts the searches, so that the response of an earlier one is ignored. */
let latest = 0;

/** Changes what is searched, and searches after a pause. */
export function changeSearch(chatStore: ChatStore, change: Partial<SearchInput>): void {
  const input = { ...useSearch.getState().input, ...change };
  clearTimeout(timer);
  latest += 1;
  const query = buildQuery(input);
  if (!query) {
    useSearch.setState({ input, results: null, error: null, isBusy: false });
    return;
  }
  const search = latest;
  useSearch.setState({ input, isBusy: true });
  timer = setTimeout(async () => {
    try {
      const page = await chatStore.client.api.search({ ...query, limit: PAGE_SIZE });
      if (search !== latest) return;
      ensureSenders(chatStore, page.items);
      useSearch.setState({ results: { messages: page.items, next: page.next }, error: null, isBusy: false });
    } catch (error) {
      if (search === latest) useSearch.setState({ results: null, error: getErrorMessage(error), isBusy: false });
    }
  }, DEBOUNCE_MS);
}

/** Loads the next page of results. */
export function loadMoreResults(chatStore: ChatStore): Promise<void> {
  return withToast(async () => {
    const { results } = useSearch.getState();
    if (!results?.next) return;
    const page = await chatStore.client.api.searchNext(results.next);
    ensureSenders(chatStore, page.items);
    // The query may have changed meanwhile.
    if (useSearch.getState().results !== results) return;
    useSearch.setState({ results: { messages: [...results.messages, ...page.items], next: page.next } });
  });
}

/** Forgets the search of another account. */
export function resetSearch(): void {
  clearTimeout(timer);
  latest += 1;
  useSearch.setState(EMPTY);
}

function ensureSenders({ users }: ChatStore, messages: readonly Message[]): void {
  users.ensure(messages.flatMap(({ sender_id }) => sender_id ?? []));
}
