import type { Action, AuditEntry } from '@confab/sdk';
import { useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatFullTime } from '../locales/time';
import lists from '../sidebar/lists.module.css';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { FormError, SelectField } from '../ui/Field';
import { usePages } from '../ui/usePages';

/** All actions, in the order of the filter. */
const ACTIONS = Object.keys({
  signed_up: true,
  signed_in: true,
  sign_in_failed: true,
  password_changed: true,
  password_reset: true,
  email_changed: true,
  token_created: true,
  program_authorized: true,
  token_revoked: true,
  bot_created: true,
  bot_deleted: true,
  webhook_created: true,
  webhook_updated: true,
  webhook_renewed: true,
  webhook_deleted: true,
  endpoint_created: true,
  endpoint_updated: true,
  endpoint_secret_rotated: true,
  endpoint_deleted: true,
  bridge_created: true,
  bridge_updated: true,
  bridge_deleted: true,
  bridge_connected: true,
  bridge_disconnected: true,
  exported: true,
  account_deleted: true,
  account_approved: true,
  account_rejected: true,
  account_suspended: true,
  suspension_ended: true,
  sessions_ended: true,
  profile_removed: true,
  message_removed: true,
  chat_removed: true,
  default_channel_added: true,
  default_channel_removed: true,
  operator_appointed: true,
  operator_dismissed: true,
  role_changed: true,
  banned: true,
  unbanned: true,
  refused: true,
} satisfies Record<Action, true>) as readonly Action[];

/** Shows the audit log, newest first. */
export function AuditLog() {
  const { t } = useTranslation();
  const chatStore = useChatStore();
  const { operator } = chatStore.client.api;
  const [action, setAction] = useState<Action | ''>('');
  const fetchFirst = useCallback(() => operator.listAudit(action === '' ? {} : { action }), [operator, action]);
  const { items, error, isBusy, loadMore } = usePages('', fetchFirst, operator.listAuditNext);
  useEffect(() => {
    const ids = (items ?? []).flatMap(({ actor_id, user_id }) => [actor_id, user_id]);
    chatStore.users.ensure(ids.filter((id) => id !== null));
  }, [items, chatStore]);
  return (
    <div className={lists.form}>
      <SelectField
        label={t('operator.action')}
        value={action}
        onChange={(event) => setAction(event.target.value as Action | '')}
      >
        <option value="">{t('operator.anyAction')}</option>
        {ACTIONS.map((one) => (
          <option key={one} value={one}>
            {t(`audit.${one}`)}
          </option>
        ))}
      </SelectField>
      <FormError>{error}</FormError>
      <ul aria-busy={isBusy} aria-label={t('operator.audit')}>
        {items?.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
        {items?.length === 0 && <li className={lists.empty}>{t('operator.noEntries')}</li>}
      </ul>
      {loadMore && <Button onClick={loadMore}>{t('search.loadMore')}</Button>}
    </div>
  );
}

function Entry({ entry }: { readonly entry: AuditEntry }) {
  const { t } = useTranslation();
  const users = useChatState((state) => state.users);
  const getName = (id: number | null) => {
    const user = users.get(id ?? 0);
    return id === null ? null : user ? `${getDisplayName(user)} (@${user.username})` : `#${id}`;
  };
  const place = [
    entry.chat_id !== null && t('operator.inChat', { id: entry.chat_id }),
    entry.message_id !== null && t('operator.ofMessage', { id: entry.message_id }),
    entry.detail,
    entry.address,
    entry.user_agent,
  ];
  return (
    <li className={lists.row}>
      <div>
        <strong>{t(`audit.${entry.action}`)}</strong>
        <p>
          {[getName(entry.actor_id) ?? t('operator.noActor'), getName(entry.user_id)].filter(Boolean).join(' → ')}
          {' · '}
          <time dateTime={entry.at}>{formatFullTime(entry.at)}</time>
        </p>
        <p>{place.filter(Boolean).join(' · ')}</p>
      </div>
    </li>
  );
}
