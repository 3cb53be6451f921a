-- Unread counts are never stored. They are counted from an index, up to a limit.

-- The position up to which a member has read: the read marker, or the last message
-- before the member joined.
create function read_position(m chat_members) returns bigint
language sql stable parallel safe
return greatest(m.joined_after_message_id, (
    select max(r.message_id) from receipts r
    where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'read'
));

-- Counts the messages of others after a position, up to 1,000, which means "1,000 or
-- more", among the first 5,000 after the position. The limits bound the cost for a chat that
-- a member never reads. Messages of users whom the member has blocked do not count.
create function unread_count(m chat_members, after bigint) returns bigint
language sql stable parallel safe
return (
    select count(*) from (
        select from (
            select x.sender_id, x.deleted_at from messages x
            where x.chat_id = m.chat_id and x.id > after
            -- Bounds the messages that are read and do not count.
            order by x.id limit 5000
        ) newer
        where newer.sender_id is distinct from m.user_id and newer.deleted_at is null
          and coalesce(newer.sender_id, 0) <> all (blocked_by(m.user_id))
        limit 1000
    ) unread
);

-- Counts the messages after a position that mention the member or everyone, except those
-- of users whom the member has blocked.
create function mention_count(m chat_members, after bigint) returns bigint
language sql stable parallel safe
return (
    select count(*) from (
        (select x.message_id from mentions x
         where x.chat_id = m.chat_id and x.user_id = m.user_id and x.message_id > after
           and coalesce(x.sender_id, 0) <> all (blocked_by(m.user_id))
         order by x.message_id limit 1000)
        union
        (select x.message_id from mentions x
         where x.chat_id = m.chat_id and x.user_id is null and x.message_id > after
           and x.sender_id is distinct from m.user_id
           and coalesce(x.sender_id, 0) <> all (blocked_by(m.user_id))
         order by x.message_id limit 1000)
        limit 1000
    ) mentions
);
