import type { PendingMessage } from '@confab/sdk';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../members/Avatar';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Icon } from '../ui/Icon';
import { withToast } from '../ui/toast';
import { DateSeparator } from './DateSeparator';
import { DraftHandle } from './drafts';
import { Markdown } from './Markdown';
import styles from './Message.module.css';
import { QuotedMessage } from './QuotedMessage';
import { useProbableMentions } from './TextWithMentions';

/** A message that is not sent yet. */
export const PendingRow = memo(function PendingRow({
  pending,
  isGroupStart,
  isNewDay,
}: {
  readonly pending: PendingMessage;
  readonly isGroupStart: boolean;
  readonly isNewDay: boolean;
}) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const me = useChatState((state) => state.me);
  const mentionTargets = useProbableMentions(pending.draft.content);
  const isFailed = pending.status === 'failed';
  const { messages } = chatStore.client;
  const moveToComposer = () => withToast(() => new DraftHandle(chatStore, pending.chatId).restore(pending));
  const replyTo = pending.draft.reply_to ?? null;
  const row = (
    <article
      className={styles.message}
      data-group-start={isGroupStart}
      data-pending={pending.status}
      data-reply={replyTo !== null}
      aria-label={`${getDisplayName(me)}, ${pending.draft.content}, ${isFailed ? t('pending.failed') : t('pending.sending')}`}
    >
      {replyTo !== null && <QuotedMessage chatId={pending.chatId} messageId={replyTo} />}
      <div className={styles.gutter}>{isGroupStart && <Avatar user={me} size={38} />}</div>
      <div className={styles.body}>
        {isGroupStart && (
          <p className={styles.header}>
            <strong className={styles.author} dir="auto">
              {getDisplayName(me)}
            </strong>
            {!isFailed && <span>{t('pending.sending')}</span>}
          </p>
        )}
        <Markdown text={pending.draft.content} mentionTargets={mentionTargets} />
        {(pending.draft.files?.length ?? 0) > 0 && (
          <p className={styles.deleted}>{t('pending.files', { count: pending.draft.files?.length ?? 0 })}</p>
        )}
        {isFailed && (
          <p className={styles.failed} role="alert">
            <Icon name="warn" size={15} />
            {pending.error ?? t('pending.failed')}
            <button type="button" onClick={() => messages.retry(pending.nonce)}>
              {t('retry')}
            </button>
            <button type="button" onClick={moveToComposer}>
              {t('pending.moveToComposer')}
            </button>
            <button type="button" onClick={() => messages.drop(pending.nonce)}>
              {t('pending.discard')}
            </button>
          </p>
        )}
      </div>
    </article>
  );
  if (!isNewDay) return row;
  return (
    <>
      <DateSeparator at={new Date(pending.at).toISOString()} />
      {row}
    </>
  );
});
