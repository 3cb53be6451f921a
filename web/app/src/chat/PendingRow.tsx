import type { Pending } from '@confab/sdk';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../ui/Avatar';
import { Icon } from '../ui/Icon';
import { nameOf, useHouse, useWorld } from '../world/use';
import { DraftHandle } from './drafts';
import { Markdown } from './Markdown';
import styles from './Message.module.css';

/** A message on its way. */
export const PendingRow = memo(function PendingRow({
  pending,
  isFirst,
}: {
  readonly pending: Pending;
  readonly isFirst: boolean;
}) {
  const { t } = useTranslation();
  const house = useHouse();
  const me = useWorld((world) => world.me);
  const isFailed = pending.status === 'failed';
  const { messages } = house.client;
  const takeBack = () => {
    const draft = new DraftHandle(house, pending.chatId);
    draft.change({ text: [draft.now.text, pending.draft.content].filter(Boolean).join('\n') });
    messages.drop(pending.nonce);
  };
  return (
    <article
      className={styles.message}
      data-first={isFirst}
      data-pending={pending.status}
      aria-label={`${nameOf(me)}, ${pending.draft.content}, ${isFailed ? t('pending.failed') : t('pending.sending')}`}
    >
      <div className={styles.side}>{isFirst && <Avatar user={me} size={38} />}</div>
      <div className={styles.body}>
        {isFirst && (
          <p className={styles.head}>
            <strong>{nameOf(me)}</strong>
            {!isFailed && <span>{t('pending.sending')}</span>}
          </p>
        )}
        <Markdown text={pending.draft.content} />
        {(pending.draft.files?.length ?? 0) > 0 && (
          <p className={styles.deleted}>{t('pending.files', { count: pending.draft.files?.length ?? 0 })}</p>
        )}
        {isFailed && (
          <p className={styles.failed} role="alert">
            <Icon name="warn" size={15} />
            {pending.error ?? t('pending.failed')}
            <button type="button" onClick={() => messages.retry(pending.nonce)}>
              {t('again')}
            </button>
            <button type="button" onClick={takeBack}>
              {t('pending.takeBack')}
            </button>
            <button type="button" onClick={() => messages.drop(pending.nonce)}>
              {t('pending.drop')}
            </button>
          </p>
        )}
      </div>
    </article>
  );
});
