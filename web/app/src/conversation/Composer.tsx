import type { Message } from '@confab/sdk';
import {
  type ClipboardEvent,
  type KeyboardEvent,
  type RefObject,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { getAuthorName, getChatTitle, getMessagePreview, useChatState, useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { IconButton } from '../ui/Button';
import { showToast } from '../ui/toast';
import styles from './Composer.module.css';
import { type DraftHandle, useDraft } from './drafts';
import { EmojiButton } from './EmojiButton';
import { parseSuggestionQuery, type Suggestion, suggestEmoji, suggestUsers } from './suggestions';
import { UploadTray } from './UploadTray';

/** Minimum time between typing notifications, in milliseconds. */
const TYPING_INTERVAL_MS = 3_000;

/** The input for new messages. */
export function Composer(props: {
  readonly draft: DraftHandle;
  readonly textareaRef: RefObject<HTMLTextAreaElement | null>;
  readonly onEditLast: () => void;
  readonly onSent: () => void;
}) {
  const { draft, textareaRef, onEditLast, onSent } = props;
  const { chatId } = draft;
  const { t } = useTranslation();
  const title = useChatState((state) => {
    const chat = state.chats.get(chatId);
    if (!chat) return '';
    const isChannel = chat.type === 'public_channel' || chat.type === 'private_channel';
    return `${isChannel ? '#' : ''}${getChatTitle(state, chat)}`;
  });
  const { text, uploads, keptFileIds, replyTo, isSendQueued } = useDraft(chatId);
  const setText = (next: string) => draft.update({ text: next });
  const fileInputRef = useRef<HTMLInputElement>(null);
  const isEmpty = text.trim() === '' && uploads.length === 0 && keptFileIds.length === 0;
  const typingNotifier = useTypingNotifier(chatId);
  const { suggestions, activeIndex, setActiveIndex, acceptSuggestion, updateSuggestions, dismiss, setCaret } =
    useSuggestions(chatId, textareaRef, text, setText);

  // Focus the composer when a chat opens, but not on a phone, where the keyboard would cover the chat.
  useEffect(() => {
    if (matchMedia('(hover: hover)').matches) textareaRef.current?.focus();
  }, [textareaRef]);

  const send = () => {
    if (uploads.some(({ failure }) => failure !== null)) return showToast(t('upload.failed'));
    if (!draft.send()) return;
    typingNotifier.stop();
    dismiss();
    onSent();
    textareaRef.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (suggestions.length > 0) {
      if (step) {
        event.preventDefault();
        return setActiveIndex((activeIndex + step + suggestions.length) % suggestions.length);
      }
      if (event.key === 'Enter' || event.key === 'Tab') {
        event.preventDefault();
        return acceptSuggestion(suggestions[activeIndex]);
      }
      if (event.key === 'Escape') {
        event.preventDefault();
        return dismiss();
      }
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && text === '') {
      event.preventDefault();
      onEditLast();
    } else if (event.key === 'Escape' && replyTo) {
      draft.update({ replyTo: null });
    }
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    draft.addFiles(files);
  };
  const insert = (insertedText: string) => {
    const at = textareaRef.current?.selectionStart ?? text.length;
    setText(text.slice(0, at) + insertedText + text.slice(at));
    setCaret(at + insertedText.length);
    textareaRef.current?.focus();
  };

  const activeSuggestion = suggestions[activeIndex];
  return (
    <div className={styles.composer}>
      {suggestions.length > 0 && (
        <div className={styles.suggestions} role="listbox" id="suggestions" aria-label={t('composer.suggestions')}>
          {suggestions.map((one) => (
            <SuggestionItem
              key={one.key}
              suggestion={one}
              isActive={one === activeSuggestion}
              onSelect={() => acceptSuggestion(one)}
            />
          ))}
        </div>
      )}
      {replyTo && <ReplyBar message={replyTo} onClose={() => draft.update({ replyTo: null })} />}
      <UploadTray draft={draft} />
      {isSendQueued && <p className={styles.reply}>{t('composer.waitingForUploads')}</p>}
      <div className={styles.inputRow}>
        <IconButton icon="add" label={t('upload.add')} onClick={() => fileInputRef.current?.click()} />
        <input
          ref={fileInputRef}
          type="file"
          multiple
          hidden
          aria-label={t('upload.add')}
          onChange={(event) => {
            draft.addFiles([...(event.target.files ?? [])]);
            event.target.value = '';
          }}
        />
        <textarea
          ref={textareaRef}
          className={styles.text}
          data-composer=""
          rows={1}
          value={text}
          readOnly={isSendQueued}
          placeholder={t('composer.placeholder', { name: title })}
          aria-label={t('composer.placeholder', { name: title })}
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={suggestions.length > 0}
          aria-controls="suggestions"
          aria-activedescendant={activeSuggestion && `suggest-${activeSuggestion.key}`}
          onChange={(event) => {
            setText(event.target.value);
            if (event.target.value.trim()) typingNotifier.notify();
            updateSuggestions(event.target.value, event.target.selectionStart);
          }}
          onClick={(event) => updateSuggestions(text, event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <EmojiButton trigger={<IconButton icon="emoji" label={t('composer.emoji')} />} onPick={insert} />
        <IconButton
          icon="send"
          label={isSendQueued ? t('composer.waitingForUploads') : t('composer.send')}
          className={styles.send ?? ''}
          disabled={isEmpty || isSendQueued}
          onClick={send}
        />
      </div>
    </div>
  );
}

function ReplyBar({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) {
  const { t } = useTranslation();
  const name = useChatState(({ users }) => getAuthorName(message, users.get(message.sender_id ?? 0)));
  return (
    <p className={styles.reply}>
      <span>
        {t('composer.replyingTo')} <strong>{name}</strong> {getMessagePreview(message)}
      </span>
      <IconButton icon="close" size={14} label={t('composer.cancelReply')} onClick={onClose} />
    </p>
  );
}

function SuggestionItem(props: {
  readonly suggestion: Suggestion;
  readonly isActive: boolean;
  readonly onSelect: () => void;
}) {
  const { suggestion, isActive, onSelect } = props;
  const { t } = useTranslation();
  const user = useChatState(({ users }) => users.get(suggestion.userId ?? 0));
  return (
    <div
      id={`suggest-${suggestion.key}`}
      role="option"
      tabIndex={-1}
      aria-selected={isActive}
      className={styles.suggestion}
      // Keep the focus in the textarea.
      onPointerDown={(event) => {
        event.preventDefault();
        onSelect();
      }}
    >
      {user && <Avatar user={user} size={22} />}
      <span>{suggestion.label}</span>
      {user?.kind === 'bot' && <Badge>{t('kind.bot')}</Badge>}
      <small>{suggestion.hint}</small>
    </div>
  );
}

/** Sends rate-limited typing notifications. */
function useTypingNotifier(chatId: number) {
  const chatStore = useChatStore();
  const lastSentAt = useRef(0);
  return {
    notify: () => {
      if (Date.now() - lastSentAt.current < TYPING_INTERVAL_MS) return;
      lastSentAt.current = Date.now();
      chatStore.client.api.chats.sendTyping(chatId).catch(() => {});
    },
    stop: () => {
      lastSentAt.current = 0;
    },
  };
}

/** Suggests users and emoji for the word at the caret. */
function useSuggestions(
  chatId: number,
  textareaRef: RefObject<HTMLTextAreaElement | null>,
  text: string,
  setText: (text: string) => void,
) {
  const chatStore = useChatStore();
  const [match, setMatch] = useState<{
    readonly start: number;
    readonly end: number;
    readonly suggestions: readonly Suggestion[];
  } | null>(null);
  const [activeIndex, setActiveIndex] = useState(0);
  const pendingCaret = useRef<number | null>(null);
  useLayoutEffect(() => {
    if (pendingCaret.current === null) return;
    textareaRef.current?.setSelectionRange(pendingCaret.current, pendingCaret.current);
    pendingCaret.current = null;
  });
  const setCaret = (at: number) => {
    pendingCaret.current = at;
  };
  const dismiss = () => setMatch(null);
  const latestRequestId = useRef(0);
  const updateSuggestions = async (currentText: string, caret: number) => {
    latestRequestId.current += 1;
    const requestId = latestRequestId.current;
    const query = parseSuggestionQuery(currentText, caret);
    if (!query || !chatStore.state) return setMatch(null);
    const suggestions =
      query.kind === 'user' ? suggestUsers(chatStore.state, chatId, query.word) : await suggestEmoji(query.word);
    if (requestId !== latestRequestId.current) return;
    setActiveIndex(0);
    setMatch(suggestions.length > 0 ? { start: query.start, end: caret, suggestions } : null);
  };
  const acceptSuggestion = (suggestion: Suggestion | undefined) => {
    if (!suggestion || !match) return;
    setText(text.slice(0, match.start) + suggestion.insert + text.slice(match.end));
    setCaret(match.start + suggestion.insert.length);
    setMatch(null);
  };
  return {
    suggestions: match?.suggestions ?? [],
    activeIndex,
    setActiveIndex,
    acceptSuggestion,
    updateSuggestions,
    dismiss,
    setCaret,
  };
}
