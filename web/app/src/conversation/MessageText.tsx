import type { Message } from '@confab/sdk';
import { type ReactNode, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime } from '../locales/time';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { useUiStore } from '../uiStore';
import { Markdown } from './Markdown';
import styles from './Message.module.css';
import { isAuthorOr } from './messageActions';
import { isFolded, unfoldedMessages } from './rows';

/** The text of a message, folded if it is long, and what follows it in its last line. */
export function MessageText({ message, children }: { readonly message: Message; readonly children?: ReactNode }) {
  const { t } = useTranslation();
  const { content, mentions, mentions_everyone: everyone } = message;
  const mentionTargets = useMemo(() => ({ ids: mentions, everyone }), [mentions, everyone]);
  const [, setUnfolded] = useState(unfoldedMessages.has(message.id));
  const end = (
    <>
      {message.edited_at && <EditedLabel message={message} />}
      {children}
    </>
  );
  if (content === '') return <p className={styles.end}>{end}</p>;
  if (!isFolded(message)) return <Markdown text={content} mentionTargets={mentionTargets} end={end} />;
  const unfold = () => {
    // Kept outside of the row, which is unmounted when it is scrolled away.
    unfoldedMessages.add(message.id);
    setUnfolded(true);
  };
  return (
    <>
      <div className={styles.folded}>
        <Markdown text={content} mentionTargets={mentionTargets} />
      </div>
      <p className={styles.end}>
        <Button variant="ghost" className={styles.unfold ?? ''} onClick={unfold}>
          {t('message.showMore')}
        </Button>
        {end}
      </p>
    </>
  );
}

/** The "edited" label. It opens the edit history for users who may read it. */
function EditedLabel({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const openModal = useUiStore((ui) => ui.openModal);
  const canViewRevisions = useChatState(() => isAuthorOr(chatStore, 'view_revisions', message));
  const labelProps = { className: styles.edited, title: formatFullTime(message.edited_at ?? '') };
  if (!canViewRevisions) return <small {...labelProps}>{t('message.edited')}</small>;
  return (
    <button type="button" {...labelProps} onClick={() => openModal({ kind: 'editHistory', messageId: message.id })}>
      {t('message.edited')}
    </button>
  );
}
