import type { Message } from '@confab/sdk';
import { type DragEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Members } from '../members/Members';
import { Button } from '../ui/Button';
import { Fence } from '../ui/Fence';
import { lazily } from '../ui/lazily';
import { useView } from '../view';
import { useHouse, useWorld } from '../world/use';
import { ChatHeader } from './ChatHeader';
import styles from './ChatPane.module.css';
import { Composer } from './Composer';
import { DraftHandle, useDraft } from './drafts';
import { Timeline, type TimelineHandle } from './Timeline';
import { Typing } from './Typing';

const DebugPanel = lazily(() => import('../debug/DebugPanel'));
const PinsPanel = lazily(() => import('../search/PinsPanel'));
const SearchPanel = lazily(() => import('../search/SearchPanel'));

/** One chat: what was said, and where to say more. */
export function ChatPane({ chatId, messageId }: { readonly chatId: number; readonly messageId: number | null }) {
  const { t } = useTranslation();
  const house = useHouse();
  const [, go] = useLocation();
  const row = useWorld(({ chats }) => chats.get(chatId));
  const panel = useView((view) => view.panel);
  const jump = useView((view) => view.jump);
  const draft = useMemo(() => new DraftHandle(house, chatId), [house, chatId]);
  const { edit } = useDraft(chatId);
  const timeline = useRef<TimelineHandle | null>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const [isDropping, setIsDropping] = useState(false);
  const exists = row !== undefined;

  // Again once it is gone, as after a fresh first screen.
  const isRead = useWorld(({ timelines }) => timelines.has(chatId));
  useEffect(() => {
    if (exists) void house.show(chatId, messageId);
  }, [house, chatId, messageId, exists, isRead]);

  const toComposer = useCallback(() => composer.current?.focus(), []);
  const onReply = useCallback(
    (message: Message) => {
      draft.change({ replyTo: message });
      toComposer();
    },
    [draft, toComposer],
  );
  const onEdit = useCallback(
    (message: Message | null) => {
      draft.change({ edit: message && { message, text: message.content } });
      if (!message) toComposer();
    },
    [draft, toComposer],
  );
  const onEdited = useCallback(
    (text: string) => draft.now.edit && draft.change({ edit: { ...draft.now.edit, text } }),
    [draft],
  );
  const onGo = useCallback(
    (id: number | null) => {
      if (id !== null) {
        jump();
        return go(`/chats/${chatId}/${id}`);
      }
      timeline.current?.toEnd();
      go(`/chats/${chatId}`, { replace: true });
    },
    [go, chatId, jump],
  );
  const editLast = () => {
    const mine = house.world?.timelines
      .get(chatId)
      ?.messages.findLast((one) => one.sender_id === house.account.id && one.deleted_at === null);
    if (mine) onEdit(mine);
  };

  if (!row) {
    return (
      <main className={styles.gone}>
        <h1>{t('chats.gone')}</h1>
        <p>{t('chats.goneHint')}</p>
        <Button onClick={() => go('/')}>{t('back')}</Button>
      </main>
    );
  }

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setIsDropping(false);
    draft.add([...event.dataTransfer.files]);
  };
  const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes('Files');

  return (
    <main className={styles.pane} data-panel={panel !== null}>
      <section
        className={styles.chat}
        aria-label={t('chats.conversation')}
        onDragOver={(event) => {
          if (!hasFiles(event)) return;
          event.preventDefault();
          setIsDropping(true);
        }}
        onDragLeave={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setIsDropping(false);
        }}
        onDrop={onDrop}
      >
        <ChatHeader row={row} />
        <Timeline
          chatId={chatId}
          target={messageId}
          edit={edit}
          onEdited={onEdited}
          handle={timeline}
          onReply={onReply}
          onEdit={onEdit}
          onGo={onGo}
        />
        <Composer draft={draft} area={composer} onEditLast={editLast} onSent={() => onGo(null)} />
        <Typing chatId={chatId} />
        {isDropping && <p className={styles.drop}>{t('upload.drop')}</p>}
      </section>
      {panel === 'members' && <Members chatId={chatId} />}
      <Fence key={panel}>
        {panel === 'search' && <SearchPanel chatId={chatId} />}
        {panel === 'pins' && <PinsPanel chatId={chatId} />}
        {panel === 'debug' && <DebugPanel />}
      </Fence>
    </main>
  );
}
