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
import { Avatar } from '../ui/Avatar';
import { IconButton } from '../ui/Button';
import { useView } from '../view';
import { lineOf, nameOf, titleOf, useHouse, useWorld } from '../world/use';
import styles from './Composer.module.css';
import { type DraftHandle, useDraft } from './drafts';
import { EmojiButton } from './EmojiButton';
import { emojiFor, peopleFor, queryAt, type Suggestion } from './suggestions';
import { UploadTray } from './UploadTray';

/** That one is typing is said at most so often, in milliseconds. */
const TYPING_EVERY_MS = 3_000;

/** Where one writes. */
export function Composer(props: {
  readonly draft: DraftHandle;
  readonly area: RefObject<HTMLTextAreaElement | null>;
  readonly onEditLast: () => void;
  readonly onSent: () => void;
}) {
  const { draft, area, onEditLast, onSent } = props;
  const { chatId } = draft;
  const { t } = useTranslation();
  const title = useWorld((world) => {
    const row = world.chats.get(chatId);
    return row ? titleOf(world, row) : '';
  });
  const { text, uploads, replyTo, isDue } = useDraft(chatId);
  const setText = (next: string) => draft.change({ text: next });
  const picker = useRef<HTMLInputElement>(null);
  const isEmpty = text.trim() === '' && uploads.length === 0;
  const typing = useTyping(chatId);
  const { suggestions, nth, setNth, choose, ask, dismiss, setCaret } = useSuggestions(chatId, area, text, setText);

  // A chat is opened to be written in; on a phone the keyboard would cover it.
  useEffect(() => {
    if (matchMedia('(hover: hover)').matches) area.current?.focus();
  }, [area]);

  const send = () => {
    if (uploads.some(({ failure }) => failure !== null)) return useView.getState().say(t('upload.failed'));
    if (!draft.send()) return;
    typing.stop();
    dismiss();
    onSent();
    area.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (suggestions.length > 0) {
      if (step) {
        event.preventDefault();
        return setNth((nth + step + suggestions.length) % suggestions.length);
      }
      if (event.key === 'Enter' || event.key === 'Tab') {
        event.preventDefault();
        return choose(suggestions[nth]);
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
      draft.change({ replyTo: null });
    }
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    draft.add(files);
  };
  const insert = (piece: string) => {
    const at = area.current?.selectionStart ?? text.length;
    setText(text.slice(0, at) + piece + text.slice(at));
    setCaret(at + piece.length);
    area.current?.focus();
  };

  const chosen = suggestions[nth];
  return (
    <div className={styles.composer}>
      {suggestions.length > 0 && (
        <div className={styles.suggestions} role="listbox" id="suggestions" aria-label={t('composer.suggestions')}>
          {suggestions.map((one) => (
            <Offer key={one.key} suggestion={one} isChosen={one === chosen} onChoose={() => choose(one)} />
          ))}
        </div>
      )}
      {replyTo && <ReplyBar message={replyTo} onClose={() => draft.change({ replyTo: null })} />}
      <UploadTray draft={draft} />
      {isDue && <p className={styles.reply}>{t('composer.waiting')}</p>}
      <div className={styles.line}>
        <IconButton icon="add" label={t('upload.add')} onClick={() => picker.current?.click()} />
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-label={t('upload.add')}
          onChange={(event) => {
            draft.add([...(event.target.files ?? [])]);
            event.target.value = '';
          }}
        />
        <textarea
          ref={area}
          className={styles.text}
          data-writes=""
          rows={1}
          value={text}
          readOnly={isDue}
          placeholder={t('composer.placeholder', { name: title })}
          aria-label={t('composer.placeholder', { name: title })}
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={suggestions.length > 0}
          aria-controls="suggestions"
          aria-activedescendant={chosen && `suggest-${chosen.key}`}
          onChange={(event) => {
            setText(event.target.value);
            if (event.target.value.trim()) typing.say();
            ask(event.target.value, event.target.selectionStart);
          }}
          onClick={(event) => ask(text, event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <EmojiButton trigger={<IconButton icon="emoji" label={t('composer.emoji')} />} onPick={insert} />
        <IconButton
          icon="send"
          label={isDue ? t('composer.waiting') : t('composer.send')}
          className={styles.send ?? ''}
          disabled={isEmpty || isDue}
          onClick={send}
        />
      </div>
    </div>
  );
}

function ReplyBar({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) {
  const { t } = useTranslation();
  const name = useWorld(({ people }) => nameOf(people.get(message.sender_id ?? 0)));
  return (
    <p className={styles.reply}>
      <span>
        {t('composer.replyTo')} <strong>{name}</strong> {lineOf(message)}
      </span>
      <IconButton icon="close" size={14} label={t('composer.noReply')} onClick={onClose} />
    </p>
  );
}

function Offer(props: { readonly suggestion: Suggestion; readonly isChosen: boolean; readonly onChoose: () => void }) {
  const { suggestion, isChosen, onChoose } = props;
  const user = useWorld(({ people }) => people.get(suggestion.userId ?? 0));
  return (
    <div
      id={`suggest-${suggestion.key}`}
      role="option"
      tabIndex={-1}
      aria-selected={isChosen}
      className={styles.offer}
      // The caret stays where it is.
      onPointerDown={(event) => {
        event.preventDefault();
        onChoose();
      }}
    >
      {user && <Avatar user={user} size={22} />}
      <span>{suggestion.label}</span>
      <small>{suggestion.hint}</small>
    </div>
  );
}

/** Says that one is typing, now and then. */
function useTyping(chatId: number) {
  const house = useHouse();
  const saidAt = useRef(0);
  return {
    say: () => {
      if (Date.now() - saidAt.current < TYPING_EVERY_MS) return;
      saidAt.current = Date.now();
      house.client.api.chats.typing(chatId).catch(() => {});
    },
    stop: () => {
      saidAt.current = 0;
    },
  };
}

/** People and emoji that the word at the caret may stand for. */
function useSuggestions(
  chatId: number,
  area: RefObject<HTMLTextAreaElement | null>,
  text: string,
  setText: (text: string) => void,
) {
  const house = useHouse();
  const [found, setFound] = useState<{
    readonly from: number;
    readonly to: number;
    readonly suggestions: readonly Suggestion[];
  } | null>(null);
  const [nth, setNth] = useState(0);
  const caretAfter = useRef<number | null>(null);
  useLayoutEffect(() => {
    if (caretAfter.current === null) return;
    area.current?.setSelectionRange(caretAfter.current, caretAfter.current);
    caretAfter.current = null;
  });
  const setCaret = (at: number) => {
    caretAfter.current = at;
  };
  const dismiss = () => setFound(null);
  const asked = useRef(0);
  const ask = async (now: string, caret: number) => {
    asked.current += 1;
    const mine = asked.current;
    const query = queryAt(now, caret);
    if (!query || !house.world) return setFound(null);
    const suggestions =
      query.kind === 'person' ? peopleFor(house.world, chatId, query.word) : await emojiFor(query.word);
    if (mine !== asked.current) return;
    setNth(0);
    setFound(suggestions.length > 0 ? { from: query.from, to: caret, suggestions } : null);
  };
  const choose = (suggestion: Suggestion | undefined) => {
    if (!suggestion || !found) return;
    setText(text.slice(0, found.from) + suggestion.insert + text.slice(found.to));
    setCaret(found.from + suggestion.insert.length);
    setFound(null);
  };
  return { suggestions: found?.suggestions ?? [], nth, setNth, choose, ask, dismiss, setCaret };
}
