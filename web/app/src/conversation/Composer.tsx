import type { Message } from '@confab/sdk';
import {
  type ClipboardEvent,
  type KeyboardEvent,
  type MouseEvent,
  type RefObject,
  useEffect,
  useRef,
  useState,
} from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { isChannel } from '../store/chatState';
import { getAuthorName, getChatTitle, useChatState, useChatStore } from '../store/hooks';
import { Badge } from '../ui/Badge';
import { IconButton } from '../ui/Button';
import { formatShortcut, hasPhysicalKeyboard, isComposing } from '../ui/keyboard';
import { openPopup } from '../ui/popup';
import { showToast, withToast } from '../ui/toast';
import styles from './Composer.module.css';
import { parseCommand } from './commands';
import { type DraftHandle, useDraft } from './drafts';
import { replaceShortcodes } from './emoji';
import { applyFormat, FORMATS, linkSelection } from './formatting';
import type { Suggestion } from './suggestions';
import { replaceText } from './textarea';
import { UploadTray } from './UploadTray';
import { useMessageSummary } from './useMessageSummary';
import { useSuggestions } from './useSuggestions';

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
    return `${isChannel(chat) ? '#' : ''}${getChatTitle(state, chat)}`;
  });
  const { text, uploads, keptFileIds, replyTo, isSendQueued } = useDraft(chatId);
  const setText = (next: string) => draft.update({ text: next });
  const fileInputRef = useRef<HTMLInputElement>(null);
  const isEmpty = text.trim() === '' && uploads.length === 0 && keptFileIds.length === 0;
  const typingNotifier = useTypingNotifier(chatId);
  const { suggestions, activeIndex, setActiveIndex, acceptSuggestion, updateSuggestions, dismiss } = useSuggestions(
    chatId,
    textareaRef,
  );
  const [hasSelection, setHasSelection] = useState(false);

  // Focus the composer when a chat opens, but not on a phone, where the keyboard would cover the chat.
  useEffect(() => {
    if (hasPhysicalKeyboard()) textareaRef.current?.focus();
  }, [textareaRef]);

  const sendDraft = () => {
    draft.update({ text: replaceShortcodes(draft.current.text) });
    if (!draft.send()) return;
    typingNotifier.stop();
    dismiss();
    onSent();
    textareaRef.current?.focus();
  };
  const send = () => {
    if (uploads.some(({ failure }) => failure !== null)) return showToast(t('upload.failed'));
    const { text: written } = draft.current;
    const parsed = parseCommand(draft.chatStore, chatId, written);
    if (!parsed) return sendDraft();
    const { command, argument } = parsed;
    const content = command.transform?.(argument);
    // What is written while the command runs stays.
    draft.update({ text: content ?? '' });
    dismiss();
    if (content) sendDraft();
    else if (command.run) void runCommand(() => command.run?.(draft.chatStore, chatId, argument, t), written);
  };
  const runCommand = (run: () => Promise<unknown> | undefined, written: string) =>
    withToast(async () => {
      try {
        await run();
      } catch (error) {
        if (draft.current.text === '') draft.update({ text: written });
        throw error;
      }
    });

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (isComposing(event)) return;
    const field = event.currentTarget;
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
    const isCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    const format = isCommand ? FORMATS.find(({ key }) => key === event.key.toLowerCase()) : undefined;
    const isSelected = field.selectionStart !== field.selectionEnd;
    // Without a selection, Ctrl+K opens the switcher.
    if (format && (isSelected || format.name !== 'link')) {
      event.preventDefault();
      event.stopPropagation();
      return applyFormat(field, format.name);
    }
    if (event.key === 'Enter' && !event.shiftKey && (hasPhysicalKeyboard() || isCommand)) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && text === '') {
      event.preventDefault();
      onEditLast();
    } else if (event.key === 'Escape' && replyTo) {
      event.preventDefault();
      draft.update({ replyTo: null });
    }
  };
  const onPaste = (event: ClipboardEvent<HTMLTextAreaElement>) => {
    const { currentTarget: field, clipboardData } = event;
    const pasted = clipboardData.getData('text/plain');
    const files = [...clipboardData.files];
    if (pasted === '' && files.length > 0) {
      event.preventDefault();
      return draft.addFiles(files);
    }
    const { selectionStart: start, selectionEnd: end } = field;
    const link = linkSelection(field.value.slice(start, end), pasted);
    if (link === null) return;
    event.preventDefault();
    replaceText(field, start, end, link);
  };
  const insert = (insertedText: string) => {
    const field = textareaRef.current;
    if (field) replaceText(field, field.selectionStart, field.selectionEnd, insertedText);
  };
  /** Replaces a shortcode such as `:tada:` as soon as it is complete. */
  const replaceShortcode = (field: HTMLTextAreaElement) => {
    const end = field.selectionStart;
    const code = /:[a-z0-9_+-]+:$/.exec(field.value.slice(0, end))?.[0];
    if (!code || replaceShortcodes(field.value.slice(0, end)).endsWith(code)) return;
    replaceText(field, end - code.length, end, replaceShortcodes(code));
  };
  const openEmoji = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    openPopup({ kind: 'emoji', anchor, onPick: insert });

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
      {hasSelection && suggestions.length === 0 && (
        <div className={styles.formats} role="toolbar" aria-label={t('composer.formats')}>
          {FORMATS.map(({ name, label, key }) => (
            <button
              key={name}
              type="button"
              data-format={name}
              data-tooltip={t(`composer.format.${name}`)}
              data-shortcut={key && formatShortcut(key)}
              aria-label={t(`composer.format.${name}`)}
              // Keep the selection of the textarea.
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => textareaRef.current && applyFormat(textareaRef.current, name)}
            >
              {label}
            </button>
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
          dir="auto"
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
            void updateSuggestions(event.target.value, event.target.selectionStart);
            replaceShortcode(event.target);
          }}
          onClick={(event) => void updateSuggestions(text, event.currentTarget.selectionStart)}
          onSelect={({ currentTarget }) => setHasSelection(currentTarget.selectionStart !== currentTarget.selectionEnd)}
          onBlur={() => setHasSelection(false)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <IconButton icon="emoji" label={t('composer.emoji')} aria-haspopup="dialog" onClick={openEmoji} />
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
  const summary = useMessageSummary(message);
  return (
    <p className={styles.reply}>
      <span>
        {t('composer.replyingTo')} <strong>{name}</strong> {summary}
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
      <span dir="auto">{suggestion.label}</span>
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
