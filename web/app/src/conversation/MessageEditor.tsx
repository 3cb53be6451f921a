import type { Message } from '@confab/sdk';
import { type KeyboardEvent, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { hasPhysicalKeyboard, isComposing } from '../ui/keyboard';
import { withToast } from '../ui/toast';
import styles from './Message.module.css';

/** Edits a message in place. */
export function MessageEditor(props: {
  readonly message: Message;
  readonly text: string;
  readonly onTextChange: (text: string) => void;
  readonly onDone: () => void;
  /** Called when the saved text is empty. */
  readonly onEmpty: () => void;
}) {
  const { message, text, onTextChange, onDone, onEmpty } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const isSaving = useRef(false);
  const save = async () => {
    const content = text.trim();
    if (isSaving.current) return;
    // An empty message without files would be invalid: offer to delete it.
    if (!content && message.files.length === 0) return onEmpty();
    if (content === message.content) return onDone();
    isSaving.current = true;
    await withToast(async () => {
      await chatStore.editMessage(message, content);
      onDone();
    });
    isSaving.current = false;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      onDone();
    } else if (event.key === 'Enter' && !event.shiftKey && hasPhysicalKeyboard()) {
      event.preventDefault();
      void save();
    }
  };
  return (
    <div className={styles.editor}>
      <textarea
        aria-label={t('message.edit')}
        dir="auto"
        value={text}
        // biome-ignore lint/a11y/noAutofocus: the user has just asked to edit this message
        autoFocus
        onFocus={({ currentTarget }) => currentTarget.setSelectionRange(text.length, text.length)}
        onChange={(event) => onTextChange(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <p>
        <Button variant="primary" onClick={save}>
          {t('save')}
        </Button>
        <Button onClick={onDone}>{t('cancel')}</Button>
        {hasPhysicalKeyboard() && <small>{t('message.editHint')}</small>}
      </p>
    </div>
  );
}
