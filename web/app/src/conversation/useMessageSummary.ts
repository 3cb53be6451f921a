import type { Message } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { isBlocked } from '../store/chatState';
import { getMessagePreview, useChatState } from '../store/hooks';
import { useSystemText } from './SystemText';

/** What a message says in one line, for where it is quoted or listed. Empty if there is no message. */
export function useMessageSummary(message: Message | null | undefined): string {
  const { t } = useTranslation();
  const isHidden = useChatState((state) => isBlocked(state, message?.sender_id ?? null));
  const systemText = useSystemText(message);
  if (!message) return '';
  if (message.deleted_at !== null) return t('message.deleted');
  return isHidden ? t('message.blocked') : (systemText ?? getMessagePreview(message));
}
