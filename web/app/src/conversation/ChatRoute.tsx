import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useLayout } from '../layout';
import { Members } from '../members/Members';
import { closeOverlay, closePanel, usePanel } from '../panels';
import { useChatState } from '../store/hooks';
import { ErrorBoundary } from '../ui/ErrorBoundary';
import { lazyWithRetry } from '../ui/lazyWithRetry';
import { ChatPane } from './ChatPane';
import styles from './ChatPane.module.css';

const UnavailableChat = lazyWithRetry(() => import('./UnavailableChat'));
const PinsPanel = lazyWithRetry(() => import('../search/PinsPanel'));
const SearchPanel = lazyWithRetry(() => import('../search/SearchPanel'));

/** A chat and the open panel. The panel stays when another chat opens. */
export function ChatRoute(props: { readonly chatId: number; readonly messageId: number | null }) {
  const { chatId, messageId } = props;
  const { t } = useTranslation();
  const exists = useChatState(({ chats }) => chats.has(chatId));
  const panel = usePanel((open) => open.panel);
  // Another chat opens, for example from the card of a member: a panel would cover it.
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) closeOverlay();
    isFirst.current = false;
  }, [chatId]);
  const isOverlay = useLayout(({ layout }) => layout !== 'wide');
  if (!exists) {
    return (
      <ErrorBoundary>
        <UnavailableChat chatId={chatId} />
      </ErrorBoundary>
    );
  }
  return (
    <main className={styles.pane} data-panel={panel !== null}>
      <ChatPane key={`chat ${chatId}`} chatId={chatId} messageId={messageId} />
      {panel !== null && isOverlay && (
        <button type="button" className={styles.backdrop} tabIndex={-1} aria-label={t('close')} onClick={closePanel} />
      )}
      {panel === 'members' && <Members key={`members ${chatId}`} chatId={chatId} />}
      <ErrorBoundary key={panel}>
        {panel === 'search' && <SearchPanel chatId={chatId} />}
        {panel === 'pins' && <PinsPanel key={`pins ${chatId}`} chatId={chatId} />}
      </ErrorBoundary>
    </main>
  );
}
