import { useTranslation } from 'react-i18next';
import { getChatTitle, getDisplayName, useChatState } from '../store/hooks';
import { ATTACHMENTS, parseDate, parseOperator, type SearchFilter } from './searchQuery';

/** Maximum number of suggestions. */
const MAX_SUGGESTIONS = 8;

/** Suggests the values of the operator at the end of a search text. */
export function useFilterSuggestions(text: string, chatId: number): readonly SearchFilter[] {
  const { t } = useTranslation();
  const parsed = parseOperator(text);
  const operator = parsed?.operator ?? null;
  const word = (parsed?.word ?? '').replace(/^[@#]/, '');
  const users = useChatState((state) => (operator === 'from' ? [...state.users.values()] : []));
  const chats = useChatState((state) => (operator === 'in' ? [...state.chats.values()] : []));
  const titles = useChatState((state) => chats.map((chat) => getChatTitle(state, chat)));
  if (operator === null) return [];
  switch (operator) {
    case 'from': {
      const matches = (name: string) =>
        name
          .toLowerCase()
          .split(/\s+/)
          .some((part) => part.startsWith(word));
      return users
        .filter((user) => user.deleted_at === null && (matches(user.username) || matches(user.display_name)))
        .sort((one, other) => getDisplayName(one).localeCompare(getDisplayName(other)))
        .slice(0, MAX_SUGGESTIONS)
        .map((user) => ({ operator, value: String(user.id), label: getDisplayName(user) }));
    }
    case 'in':
      return chats
        .map(({ id }, nth) => ({ operator, value: String(id), label: titles[nth] ?? '' }))
        .filter(({ label }) => label.toLowerCase().includes(word))
        .sort((one, other) => Number(other.value === String(chatId)) - Number(one.value === String(chatId)))
        .slice(0, MAX_SUGGESTIONS);
    case 'has':
      return ATTACHMENTS.map((value) => ({ operator, value, label: t(`search.attachments.${value}`) })).filter(
        ({ value, label }) => value.startsWith(word) || label.toLowerCase().startsWith(word),
      );
    default: {
      const date = parseDate(word) ?? (word === '' ? formatDate(new Date()) : null);
      return date === null ? [] : [{ operator, value: date, label: date }];
    }
  }
}

/** As in `2026-12-31`, in the time zone of this device. */
function formatDate(date: Date): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}
