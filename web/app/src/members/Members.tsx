import type { Member, Role } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { Avatar } from '../ui/Avatar';
import { Button } from '../ui/Button';
import { Menu, MenuItem, MenuLine } from '../ui/Menu';
import { Side } from '../ui/Side';
import { attempt, useView } from '../view';
import { nameOf, useHouse, useWorld } from '../world/use';
import styles from './Members.module.css';

/** How long is waited before who is here is asked again, in milliseconds. */
const AGAIN_MS = 3_000;

const NOBODY: readonly Member[] = [];

/** Who is in a chat, and who of them is here. */
export function Members({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const open = useView((view) => view.open);
  const row = useWorld(({ chats }) => chats.get(chatId));
  const members = useWorld(({ members }) => members.get(chatId)) ?? null;
  const here = useWorld(({ presences }) =>
    (members ?? NOBODY).filter(({ id }) => (presences.get(id)?.status ?? 'offline') !== 'offline').map(({ id }) => id),
  );
  const isKnown = members !== null;
  const isLive = useWorld(({ connection }) => connection.to === 'live');
  const [failures, setFailures] = useState(0);
  useEffect(() => {
    if (isKnown) return;
    let timer: ReturnType<typeof setTimeout>;
    house.readMembers(chatId).catch(() => {
      timer = setTimeout(() => setFailures((now) => now + 1), AGAIN_MS);
    });
    return () => clearTimeout(timer);
  }, [house, chatId, isKnown, isLive, failures]);

  const byName = [...(members ?? NOBODY)].sort((one, other) => nameOf(one).localeCompare(nameOf(other)));
  const groups = [
    { key: 'here', title: t('people.here'), list: byName.filter(({ id }) => here.includes(id)) },
    { key: 'away', title: t('people.away'), list: byName.filter(({ id }) => !here.includes(id)) },
  ];
  const mayAdd =
    row !== undefined && row.type !== 'single' && (row.type !== 'private_channel' || row.role !== 'member');
  const left = (row?.member_count ?? 0) - byName.length;
  return (
    <Side title={t('people.title')} label={t('people.title')}>
      {mayAdd && (
        <Button className={styles.add ?? ''} onClick={() => open({ kind: 'people', chatId })}>
          {t('people.add')}
        </Button>
      )}
      {!isKnown && (
        <p className={styles.more} aria-busy="true">
          {t('loading')}
        </p>
      )}
      {/* One list, so that who comes or goes keeps their row, and the menu that is open on it. */}
      <ul>
        {groups.flatMap(({ key, title, list }) =>
          list.length === 0
            ? []
            : [
                <li key={key}>
                  <h3 className={styles.heading}>
                    {title} {list.length}
                  </h3>
                </li>,
                ...list.map((member) => (
                  <MemberItem key={member.id} member={member} chatId={chatId} myRole={row?.role ?? 'member'} />
                )),
              ],
        )}
      </ul>
      {isKnown && left > 0 && <p className={styles.more}>{t('people.more', { count: left })}</p>}
    </Side>
  );
}

function MemberItem(props: { readonly member: Member; readonly chatId: number; readonly myRole: Role }) {
  const { member, chatId, myRole } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const { api } = house.client;
  const [, go] = useLocation();
  const open = useView((view) => view.open);
  const me = useWorld((world) => world.me.id);
  const user = useWorld(({ people }) => people.get(member.id)) ?? member;
  const status = useWorld(({ presences }) => presences.get(member.id)?.status ?? 'offline');
  const isMe = member.id === me;
  const rank = { member: 0, admin: 1, owner: 2 };
  const mayRule = !isMe && rank[myRole] > rank[member.role];

  const message = () =>
    attempt(async () => {
      const chat = await api.chats.create({ type: 'single', user_id: member.id });
      await house.admit(chat.id);
      go(`/chats/${chat.id}`);
    });

  const sure = (what: 'transfer' | 'remove' | 'ban', work: () => Promise<unknown>) =>
    open({
      kind: 'sure',
      chatId,
      title: t(`people.${what}`),
      text: t(`people.${what}Sure`, { name: nameOf(user) }),
      verb: t(`people.${what}`),
      work,
    });

  return (
    <li>
      <Menu
        align="end"
        trigger={
          <button type="button" className={styles.member} data-away={status === 'offline'}>
            <Avatar user={user} size={32} status={status} />
            <span>{nameOf(user)}</span>
            {member.role !== 'member' && <em>{t(`role.${member.role}`)}</em>}
          </button>
        }
      >
        <p className={styles.card}>
          <strong>{nameOf(user)}</strong>
          <small>@{user.username}</small>
          {user.bio && <span>{user.bio}</span>}
        </p>
        {!isMe && (
          <MenuItem icon="person" onClick={message}>
            {t('people.message')}
          </MenuItem>
        )}
        {mayRule && myRole === 'owner' && (
          <MenuItem
            icon="check"
            onClick={() =>
              attempt(() => api.members.setRole(chatId, member.id, member.role === 'admin' ? 'member' : 'admin'))
            }
          >
            {member.role === 'admin' ? t('role.demote') : t('role.promote')}
          </MenuItem>
        )}
        {mayRule && myRole === 'owner' && (
          <MenuItem icon="people" onClick={() => sure('transfer', () => api.members.transfer(chatId, member.id))}>
            {t('people.transfer')}
          </MenuItem>
        )}
        {mayRule && <MenuLine />}
        {mayRule && (
          <MenuItem
            icon="leave"
            isDangerous
            onClick={() => sure('remove', () => api.members.remove(chatId, member.id))}
          >
            {t('people.remove')}
          </MenuItem>
        )}
        {mayRule && (
          <MenuItem icon="warn" isDangerous onClick={() => sure('ban', () => api.members.ban(chatId, member.id))}>
            {t('people.ban')}
          </MenuItem>
        )}
        {!isMe && (
          <MenuItem
            icon="mute"
            isDangerous
            onClick={() =>
              attempt(async () => {
                await api.people.block(member.id);
                useView.getState().say(t('people.blocked', { name: nameOf(user) }));
              })
            }
          >
            {t('people.block')}
          </MenuItem>
        )}
      </Menu>
    </li>
  );
}
