-- Everybody who was once removed from a chat, or left it, is in `chat_departures`: the other
-- members still see their names on old messages. Only those who left a group or a private
-- channel need an invite to come back.

alter table chat_departures add column needs_invite boolean not null default true;

-- Those who left before, if they have written. Reads `messages` once. Meanwhile nobody joins or
-- leaves a chat.
insert into chat_departures (chat_id, user_id, needs_invite)
select distinct m.chat_id, m.sender_id, false
from messages m join chats c on c.id = m.chat_id
where m.sender_id is not null
  and not exists (select from chat_members o where o.chat_id = m.chat_id and o.user_id = m.sender_id)
on conflict do nothing;
