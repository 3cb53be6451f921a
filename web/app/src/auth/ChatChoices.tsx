import type { ChatSummary } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { useStore } from 'zustand';
import { getChatTitle, useChatStore } from '../store/hooks';
import styles from './ConsentPage.module.css';

/** The chats in which the program writes without asking. */
export function ChatChoices(props: {
  readonly chatIds: ReadonlySet<number>;
  readonly onChange: (chatIds: ReadonlySet<number>) => void;
}) {
  const { chatIds, onChange } = props;
  const { t } = useTranslation();
  const state = useStore(useChatStore().store, (store) => store.state);
  const chats: readonly ChatSummary[] = state ? [...state.chats.values()] : [];
  const toggle = (id: number) => {
    const next = new Set(chatIds);
    if (!next.delete(id)) next.add(id);
    onChange(next);
  };
  return (
    <>
      <div className={styles.chats}>
        {state &&
          chats.map((chat) => (
            <label key={chat.id} className={styles.choice}>
              <input type="checkbox" checked={chatIds.has(chat.id)} onChange={() => toggle(chat.id)} />
              {getChatTitle(state, chat)}
            </label>
          ))}
      </div>
      {chatIds.size === 0 && <p className={styles.notice}>{t('consent.noChats')}</p>}
    </>
  );
}
