import type { Message } from '@confab/sdk';
import { type DragEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { isWrittenBy } from '../store/chatState';
import { useChatState, useChatStore } from '../store/hooks';
import { showToast } from '../ui/toast';
import { useUiStore } from '../uiStore';
import { BridgeNotices } from './BridgeNotice';
import { ChatHeader } from './ChatHeader';
import styles from './ChatPane.module.css';
import { Composer } from './Composer';
import { DraftHandle, useDraft } from './drafts';
import { Timeline, type TimelineHandle } from './Timeline';
import { TypingIndicator } from './TypingIndicator';

/** One chat: header, timeline and composer. */
export function ChatPane({ chatId, messageId }: { readonly chatId: number; readonly messageId: number | null }) {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const [, navigate] = useLocation();
  const chat = useChatState(({ chats }) => chats.get(chatId));
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
    if (!exists) return;
    let isCancelled = false;
    void chatStore.openChat(chatId, messageId).then((hasMessage) => {
      if (hasMessage || isCancelled) return;
      showToast(t('timeline.messageNotFound'));
      navigate(`/chats/${chatId}`, { replace: true });
    });
    return () => {
      isCancelled = true;
    };
  }, [chatStore, chatId, messageId, exists, isTimelineLoaded, navigate, t]);

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
      ?.messages.findLast((one) => isWrittenBy(one, chatStore.account.id) && one.deleted_at === null);
    if (lastOwnMessage) onEdit(lastOwnMessage);
  };

  if (!chat) return null;

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setIsDropping(false);
    draft.addFiles([...event.dataTransfer.files]);
  };
  const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes('Files');

  return (
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
  );
}
