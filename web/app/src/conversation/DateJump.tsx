import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import listStyles from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';

/** Jumps to the first message of a day. */
export function DateJump(props: { readonly chatId: number; readonly onJump: (messageId: number) => void }) {
  const { chatId, onJump } = props;
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const createdAt = useChatState(({ chats }) => chats.get(chatId)?.created_at ?? '');
  const [date, setDate] = useState('');
  const { error, run } = useAction();
  const jump = (day: Date) =>
    run(async () => {
      const id = await chatStore.history.findAt(chatId, day.toISOString());
      closeModal();
      if (id !== null) onJump(id);
    });
  const daysAgo = (days: number) => {
    const day = new Date();
    day.setHours(0, 0, 0, 0);
    day.setDate(day.getDate() - days);
    return day;
  };
  return (
    <Dialog title={t('timeline.jumpToDate')} onClose={closeModal}>
      <form
        className={listStyles.form}
        onSubmit={(event) => {
          event.preventDefault();
          void jump(new Date(`${date}T00:00:00`));
        }}
      >
        <div className={listStyles.actions}>
          <Button onClick={() => jump(new Date(createdAt))}>{t('timeline.beginning')}</Button>
          <Button onClick={() => jump(daysAgo(30))}>{t('timeline.lastMonth')}</Button>
          <Button onClick={() => jump(daysAgo(7))}>{t('timeline.lastWeek')}</Button>
          <Button onClick={() => jump(daysAgo(1))}>{t('timeline.yesterday')}</Button>
        </div>
        <Field
          label={t('timeline.date')}
          type="date"
          value={date}
          onChange={({ target }) => setDate(target.value)}
          required
        />
        <FormError>{error}</FormError>
        <div className={listStyles.actions}>
          <Button type="submit" variant="primary" disabled={date === ''}>
            {t('timeline.jump')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
