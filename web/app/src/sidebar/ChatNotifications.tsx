import type { ChatSummary, NotificationLevel } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { formatUpcomingTime } from '../locales/time';
import { NotificationLevelOptions } from '../settings/NotificationLevelOptions';
import { getNotificationLevel } from '../settings/notifications';
import { getQuietEnd, QUIET_TIMES } from '../settings/quietTimes';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { Menu, MenuItem } from '../ui/Menu';
import { useAction } from '../ui/useAction';
import styles from './lists.module.css';

/** Which messages of a chat notify the user, and whether it is muted. */
export function ChatNotifications({ chat }: { readonly chat: ChatSummary }) {
  const { t } = useTranslation();
  const { chats } = useChatStore().client.api;
  const defaultLevel = useChatState((state) => getNotificationLevel(state, { ...chat, notification_level: null }));
  const { error, run } = useAction();
  const hint = chat.muted_until ? t('chats.mutedUntil', { time: formatUpcomingTime(chat.muted_until) }) : null;
  return (
    <>
      <div className={styles.row}>
        <div>
          <strong>{t('chats.mute')}</strong>
          <p>{hint ?? t('chats.muteHint')}</p>
        </div>
        {chat.is_muted ? (
          <Button onClick={() => run(() => chats.unmute(chat.id))}>{t('chats.unmute')}</Button>
        ) : (
          <Menu trigger={<Button aria-haspopup="menu">{t('chats.mute')}</Button>} align="end">
            {QUIET_TIMES.map((time) => (
              <MenuItem key={time} onClick={() => run(() => chats.mute(chat.id, getQuietEnd(time)))}>
                {t(`notifications.times.${time}`)}
              </MenuItem>
            ))}
            <MenuItem onClick={() => run(() => chats.mute(chat.id))}>{t('notifications.forGood')}</MenuItem>
          </Menu>
        )}
      </div>
      <SelectField
        label={t('notifications.level')}
        value={chat.notification_level ?? ''}
        onChange={({ target }) =>
          run(() => chats.setNotificationLevel(chat.id, (target.value || null) as NotificationLevel | null))
        }
      >
        <option value="">
          {t('notifications.defaultLevel', { level: t(`notifications.levels.${defaultLevel}`) })}
        </option>
        <NotificationLevelOptions />
      </SelectField>
      <FormError>{error}</FormError>
    </>
  );
}
