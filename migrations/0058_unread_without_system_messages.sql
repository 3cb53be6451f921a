-- As in 0017, without system messages. They are looked up in an index of their own, so that the others are still read
-- from the index of a chat alone. The blocked users are loaded once, and not for each message.
create or replace function unread_count(m chat_members, after bigint) returns bigint
language sql stable parallel safe
return (
    select count(*) from (
        select from (
            select x.id, x.sender_id, x.deleted_at from messages x
            where x.chat_id = m.chat_id and x.id > after
            -- Bounds the messages that are read and do not count.
            order by x.id limit 5000
        ) newer
        where newer.sender_id is distinct from m.user_id and newer.deleted_at is null
          and coalesce(newer.sender_id, 0) <> all ((select blocked_by(m.user_id))::bigint[])
          and not exists (
              select from messages s where s.chat_id = m.chat_id and s.id = newer.id and s.change is not null
          )
        limit 1000
    ) unread
);
