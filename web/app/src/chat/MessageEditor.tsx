import type { Message } from '@confab/sdk';
import { type KeyboardEvent, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../ui/Button';
import { attempt } from '../view';
import { useHouse } from '../world/use';
import styles from './Message.module.css';

/** Writes a message anew, in its place. */
export function MessageEditor(props: {
  readonly message: Message;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly onDone: () => void;
  /** Saved without anything in it. */
  readonly onEmptied: () => void;
}) {
  const { message, text, onText, onDone, onEmptied } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const isBusy = useRef(false);
  const save = async () => {
    const content = text.trim();
    if (isBusy.current) return;
    // Nothing left of it: that is to delete it.
    if (!content && message.files.length === 0) return onEmptied();
    if (content === message.content) return onDone();
    isBusy.current = true;
    await attempt(async () => {
      await house.edit(message, content);
      onDone();
    });
    isBusy.current = false;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      onDone();
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      void save();
    }
  };
  return (
    <div className={styles.editor}>
      <textarea
        aria-label={t('message.edit')}
        value={text}
        // biome-ignore lint/a11y/noAutofocus: whoever asked to edit wants to write here
        autoFocus
        onFocus={({ currentTarget }) => currentTarget.setSelectionRange(text.length, text.length)}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <p>
        <Button look="main" onClick={save}>
          {t('save')}
        </Button>
        <Button onClick={onDone}>{t('cancel')}</Button>
        <small>{t('message.editHint')}</small>
      </p>
    </div>
  );
}
