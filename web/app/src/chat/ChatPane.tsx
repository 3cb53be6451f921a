import type { Message } from '@confab/sdk';
import { type DragEvent, lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Members } from '../members/Members';
import { useView } from '../view';
import { useHouse, useWorld } from '../world/use';
import { ChatHeader } from './ChatHeader';
import styles from './ChatPane.module.css';
import { Composer } from './Composer';
import { Timeline, type TimelineHandle, Typing } from './Timeline';
import { useUploads } from './uploads';

const DebugPanel = lazy(() => import('../debug/DebugPanel'));
const PinsPanel = lazy(() => import('../search/PinsPanel'));
const SearchPanel = lazy(() => import('../search/SearchPanel'));

/** One chat: what was said, and where to say more. */
export function ChatPane({ chatId, messageId }: { readonly chatId: number; readonly messageId: number | null }) {
  const { t } = useTranslation();
  const house = useHouse();
  const [, go] = useLocation();
  const row = useWorld(({ chats }) => chats.get(chatId));
  const panel = useView((view) => view.panel);
  const [replyTo, setReplyTo] = useState<Message | null>(null);
  const [editing, setEditing] = useState<Message | null>(null);
  const timeline = useRef<TimelineHandle | null>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const { add } = useUploads(chatId);
  const [isDropping, setIsDropping] = useState(false);
  const exists = row !== undefined;

  useEffect(() => {
    if (!exists) return;
    if (messageId === null) void house.show(chatId);
    else void house.find(chatId, messageId);
    return () => house.left(chatId);
  }, [house, chatId, messageId, exists]);

  const toComposer = useCallback(() => composer.current?.focus(), []);
  const onReply = useCallback(
    (message: Message) => {
      setReplyTo(message);
      toComposer();
    },
    [toComposer],
  );
  const onEdit = useCallback(
    (message: Message | null) => {
      setEditing(message);
      if (!message) toComposer();
    },
    [toComposer],
  );
  const onGo = useCallback(
    (id: number | null) => {
      if (id !== null) return go(`/chats/${chatId}/${id}`);
      timeline.current?.toEnd();
      go(`/chats/${chatId}`, { replace: true });
    },
    [go, chatId],
  );
  const editLast = () => {
    const mine = house.world?.timelines
      .get(chatId)
      ?.messages.findLast((one) => one.sender_id === house.account.id && one.deleted_at === null);
    if (mine) setEditing(mine);
  };

  if (!row) {
    return (
      <main className={styles.gone}>
        <h1>{t('chats.gone')}</h1>
        <p>{t('chats.goneHint')}</p>
      </main>
    );
  }

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setIsDropping(false);
    add([...event.dataTransfer.files]);
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
          editing={editing?.id ?? null}
          handle={timeline}
          onReply={onReply}
          onEdit={onEdit}
          onGo={onGo}
        />
        <Composer
          chatId={chatId}
          area={composer}
          replyTo={replyTo}
          onReplyTo={setReplyTo}
          onEditLast={editLast}
          onSent={() => onGo(null)}
        />
        <Typing chatId={chatId} />
        {isDropping && <p className={styles.drop}>{t('upload.drop')}</p>}
      </section>
      {panel === 'members' && <Members chatId={chatId} />}
      <Suspense>
        {panel === 'search' && <SearchPanel chatId={chatId} />}
        {panel === 'pins' && <PinsPanel chatId={chatId} />}
        {panel === 'debug' && <DebugPanel />}
      </Suspense>
    </main>
  );
}
