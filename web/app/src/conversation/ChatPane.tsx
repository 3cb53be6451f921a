import type { Message } from '@confab/sdk';
import { type DragEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Members } from '../members/Members';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { ErrorBoundary } from '../ui/ErrorBoundary';
import { lazyWithRetry } from '../ui/lazyWithRetry';
import { useUiStore } from '../uiStore';
import { BridgeNotices } from './BridgeNotice';
import { ChatHeader } from './ChatHeader';
import styles from './ChatPane.module.css';
import { Composer } from './Composer';
import { DraftHandle, useDraft } from './drafts';
import { Timeline, type TimelineHandle } from './Timeline';
import { TypingIndicator } from './TypingIndicator';

const DebugPanel = lazyWithRetry(() => import('../debug/DebugPanel'));
const PinsPanel = lazyWithRetry(() => import('../search/PinsPanel'));
const SearchPanel = lazyWithRetry(() => import('../search/SearchPanel'));

/** One chat: header, timeline, composer and side panel. */
export function ChatPane({ chatId, messageId }: { readonly chatId: number; readonly messageId: number | null }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const chat = useChatState(({ chats }) => chats.get(chatId));
  const panel = useUiStore((ui) => ui.panel);
  const requestScroll = useUiStore((ui) => ui.requestScroll);
  const draft = useMemo(() => new DraftHandle(chatStore, chatId), [chatStore, chatId]);
  const { edit } = useDraft(chatId);
  const timeline = useRef<TimelineHandle | null>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const [isDropping, setIsDropping] = useState(false);
  const exists = chat !== undefined;

  // Load again when the timeline was dropped, as after a reset.
  const isTimelineLoaded = useChatState(({ timelines }) => timelines.has(chatId));
  useEffect(() => {
    if (exists) void chatStore.openChat(chatId, messageId);
  }, [chatStore, chatId, messageId, exists, isTimelineLoaded]);

  const focusComposer = useCallback(() => composer.current?.focus(), []);
  const onReply = useCallback(
    (message: Message) => {
      draft.update({ replyTo: message });
      focusComposer();
    },
    [draft, focusComposer],
  );
  const onEdit = useCallback(
    (message: Message | null) => {
      draft.update({ edit: message && { message, text: message.content } });
      if (!message) focusComposer();
    },
    [draft, focusComposer],
  );
  const onEditChange = useCallback(
    (text: string) => draft.current.edit && draft.update({ edit: { ...draft.current.edit, text } }),
    [draft],
  );
  const onJump = useCallback(
    (id: number | null) => {
      if (id !== null) {
        requestScroll();
        return navigate(`/chats/${chatId}/${id}`);
      }
      timeline.current?.scrollToEnd();
      navigate(`/chats/${chatId}`, { replace: true });
    },
    [navigate, chatId, requestScroll],
  );
  const editLast = () => {
    const lastOwnMessage = chatStore.state?.timelines
      .get(chatId)
      ?.messages.findLast((one) => one.sender_id === chatStore.account.id && one.deleted_at === null);
    if (lastOwnMessage) onEdit(lastOwnMessage);
  };

  if (!chat) {
    return (
      <main className={styles.notFound}>
        <h1>{t('chats.notFound')}</h1>
        <p>{t('chats.notFoundHint')}</p>
        <Button onClick={() => navigate('/')}>{t('backToChats')}</Button>
      </main>
    );
  }

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setIsDropping(false);
    draft.addFiles([...event.dataTransfer.files]);
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
        <ChatHeader chat={chat} />
        <Timeline
          chatId={chatId}
          target={messageId}
          edit={edit}
          onEditChange={onEditChange}
          handleRef={timeline}
          onReply={onReply}
          onEdit={onEdit}
          onJump={onJump}
        />
        <BridgeNotices chatId={chatId} />
        <Composer draft={draft} textareaRef={composer} onEditLast={editLast} onSent={() => onJump(null)} />
        <TypingIndicator chatId={chatId} />
        {isDropping && <p className={styles.dropOverlay}>{t('upload.dropHint')}</p>}
      </section>
      {panel === 'members' && <Members chatId={chatId} />}
      <ErrorBoundary key={panel}>
        {panel === 'search' && <SearchPanel chatId={chatId} />}
        {panel === 'pins' && <PinsPanel chatId={chatId} />}
        {panel === 'debug' && <DebugPanel />}
      </ErrorBoundary>
    </main>
  );
}
