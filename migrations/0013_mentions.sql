-- Mentions by user, for counts of unread mentions. Only the triggers of messages
-- (0023) write here. A null user_id mentions everyone.

create table mentions (
    chat_id    bigint not null,
    message_id bigint not null references messages on delete cascade,
    user_id    bigint,
    sender_id  bigint
);

create index mentions_chat_id on mentions (chat_id, user_id, message_id) include (sender_id);
create index mentions_message_id on mentions (message_id);

-- Resolves names, in lower case, to members of a chat other than the sender and those who
-- have blocked the sender. Also returns whether everyone is mentioned, which only admins
-- and owners may do.
create function resolve_mentions(of_chat bigint, by_user bigint, names text[])
returns table (user_ids bigint[], everyone boolean)
language sql stable rows 1
begin atomic
    select coalesce((
               select array_agg(m.user_id order by m.user_id)
               from users u join chat_members m on m.chat_id = of_chat and m.user_id = u.id
               where lower(u.username) = any (names) and u.id <> by_user
                 and not exists (select from blocks b where b.blocker_id = u.id and b.blocked_id = by_user)
           ), '{}'),
           'everyone' = any (names) and exists (
               select from chat_members m
               where m.chat_id = of_chat and m.user_id = by_user and m.role in ('owner', 'admin')
           );
end;
