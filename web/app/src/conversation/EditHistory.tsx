import type { MessageRevision } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime } from '../locales/time';
import { useChatStore } from '../store/hooks';
import { Dialog } from '../ui/Dialog';
import { FormError } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import styles from './EditHistory.module.css';
import { Markdown } from './Markdown';

/** The revisions of a message, latest first. */
export function EditHistory({ messageId }: { readonly messageId: number }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const [revisions, setRevisions] = useState<readonly MessageRevision[] | null>(null);
  const { error, run } = useAction();
  useEffect(() => {
    void run(async () => setRevisions((await chatStore.client.api.messages.listRevisions(messageId)).toReversed()));
  }, [chatStore, messageId, run]);
  return (
    <Dialog title={t('message.editHistory')} onClose={closeModal}>
      <FormError>{error}</FormError>
      {revisions?.length === 0 && <p>{t('message.noEditHistory')}</p>}
      <ol className={styles.revisions} aria-busy={revisions === null && error === null}>
        {revisions?.map((revision) => (
          <li key={revision.edited_at}>
            <small>{t('message.replacedAt', { time: formatFullTime(revision.edited_at) })}</small>
            <Markdown text={revision.content} />
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
