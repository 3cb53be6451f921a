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
