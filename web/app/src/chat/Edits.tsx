import type { Edit } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { Refusal } from '../ui/Field';
import { useRefusal } from '../ui/useRefusal';
import { useView } from '../view';
import { exactTime } from '../words/time';
import { useHouse } from '../world/use';
import styles from './Edits.module.css';
import { Markdown } from './Markdown';

/** What a message said before it was edited, the latest first. */
export function Edits({ messageId }: { readonly messageId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const close = useView((view) => view.close);
  const [edits, setEdits] = useState<readonly Edit[] | null>(null);
  const { refusal, trying } = useRefusal();
  useEffect(() => {
    void trying(async () => setEdits((await house.client.api.messages.edits(messageId)).toReversed()));
  }, [house, messageId, trying]);
  return (
    <Dialog title={t('message.edits')} onClose={close}>
      <Refusal>{refusal}</Refusal>
      {edits?.length === 0 && <p>{t('message.editsNone')}</p>}
      <ol className={styles.edits} aria-busy={edits === null && refusal === null}>
        {edits?.map((edit) => (
          <li key={edit.edited_at}>
            <small>{t('message.until', { time: exactTime(edit.edited_at) })}</small>
            <Markdown text={edit.content} />
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
