-- Receipts are marks, not a row per message and reader: "everything in this
-- chat up to message m was delivered to (or read by) this person at this time".
-- Each forward move is one row, so "who read message m, and when" is the first
-- mark at or past m, and storage grows with moves.

create type receipt_kind as enum ('delivered', 'read');

create table receipts (
    chat_id    bigint       not null references chats on delete cascade,
    user_id    bigint       not null references users on delete cascade,
    kind       receipt_kind not null,
    message_id bigint       not null,
    at         timestamptz  not null default clock_timestamp(),
    primary key (chat_id, user_id, kind, message_id),
    constraint receipts_message_fkey foreign key (chat_id, message_id)
        references messages (chat_id, id) on delete cascade
);

create index receipts_message on receipts (chat_id, message_id);

-- How far a member has read, for counting: up to their mark, or up to where they
-- came in.
create function read_position(m chat_members) returns bigint
language sql stable parallel safe
return greatest(m.joined_after_message_id, (
    select max(r.message_id) from receipts r
    where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'read'
));

-- Messages of others past a position, counted up to a thousand, which stands for
-- "a thousand or more": the cost of a chat that nobody reads has a bound.
create function unread_count(m chat_members, after bigint) returns bigint
language sql stable parallel safe
return (
    select count(*) from (
        select from messages x
        where x.chat_id = m.chat_id and x.id > after
          and x.sender_id is distinct from m.user_id and x.deleted_at is null
        limit 1000
    ) unread
);

-- Of those, the ones that call the member by name, or everyone.
create function mention_count(m chat_members, after bigint) returns bigint
language sql stable parallel safe
return (
    select count(*) from (
        (select x.message_id from mentions x
         where x.chat_id = m.chat_id and x.user_id = m.user_id and x.message_id > after
         order by x.message_id limit 1000)
        union
        (select x.message_id from mentions x
         where x.chat_id = m.chat_id and x.user_id is null and x.message_id > after
           and x.sender_id is distinct from m.user_id
         order by x.message_id limit 1000)
        limit 1000
    ) mentions
);
