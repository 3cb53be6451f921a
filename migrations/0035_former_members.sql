-- Everybody who was once removed from a chat, or left it: the other members still see their
-- names on old messages. Those who left a group or a private channel come back only by an
-- invite.

alter table chat_departures rename to former_members;
alter index chat_departures_user_id rename to former_members_user_id;
alter table former_members rename constraint chat_departures_pkey to former_members_pkey;
alter table former_members rename constraint chat_departures_chat_id_fkey to former_members_chat_id_fkey;
alter table former_members rename constraint chat_departures_user_id_fkey to former_members_user_id_fkey;
alter table former_members add column needs_invite boolean not null default true;
alter table former_members alter column needs_invite drop default;

-- Whether a viewer sees the profile of a user without knowing the name: a deleted account,
-- or one that is or was in a chat of the viewer, or is banned from one. An operator sees all.
create function is_visible_to(viewer bigint, of_user users) returns boolean
language sql stable parallel safe
return of_user.id = viewer
    or of_user.deleted_at is not null
    or exists (
        select from chat_members own join chat_members m on m.chat_id = own.chat_id and m.user_id = of_user.id
        where own.user_id = viewer
    )
    or exists (
        select from former_members m join chat_members own on own.chat_id = m.chat_id and own.user_id = viewer
        where m.user_id = of_user.id
    )
    or exists (
        select from chat_bans b join chat_members own on own.chat_id = b.chat_id and own.user_id = viewer
        where b.user_id = of_user.id
    )
    or exists (select from blocks b where b.blocker_id = viewer and b.blocked_id = of_user.id)
    or exists (select from users o where o.id = viewer and o.is_operator);
