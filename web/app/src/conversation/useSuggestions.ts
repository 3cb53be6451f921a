import { type RefObject, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { suggestCommands } from './commands';
import {
  parseSuggestionQuery,
  type Suggestion,
  type SuggestionQuery,
  suggestChannels,
  suggestEmoji,
  suggestUsers,
} from './suggestions';
import { replaceText } from './textarea';

interface Match {
  readonly start: number;
  readonly end: number;
  readonly suggestions: readonly Suggestion[];
}

/** Suggests users, channels, emoji and commands for the word at the caret. */
export function useSuggestions(chatId: number, textareaRef: RefObject<HTMLTextAreaElement | null>) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [match, setMatch] = useState<Match | null>(null);
  const [activeIndex, setActiveIndex] = useState(0);
  const dismiss = () => setMatch(null);
  const latestRequestId = useRef(0);
  const findSuggestions = async ({ kind, word }: SuggestionQuery): Promise<Suggestion[]> => {
    if (!chatStore.state) return [];
    switch (kind) {
      case 'user':
        return suggestUsers(chatStore.state, chatId, word);
      case 'channel':
        return suggestChannels(chatStore.state, word);
      case 'command':
        return suggestCommands(chatStore, chatId, word, t);
      case 'emoji':
        return await suggestEmoji(word);
    }
  };
  const updateSuggestions = async (text: string, caret: number) => {
    latestRequestId.current += 1;
    const requestId = latestRequestId.current;
    const query = parseSuggestionQuery(text, caret);
    if (!query) return setMatch(null);
    const suggestions = await findSuggestions(query);
    if (requestId !== latestRequestId.current) return;
    setActiveIndex(0);
    setMatch(suggestions.length > 0 ? { start: query.start, end: caret, suggestions } : null);
  };
  const acceptSuggestion = (suggestion: Suggestion | undefined) => {
    if (!suggestion || !match || !textareaRef.current) return;
    replaceText(textareaRef.current, match.start, match.end, suggestion.insert);
    setMatch(null);
  };
  return {
    suggestions: match?.suggestions ?? [],
    activeIndex,
    setActiveIndex,
    acceptSuggestion,
    updateSuggestions,
    dismiss,
  };
}
