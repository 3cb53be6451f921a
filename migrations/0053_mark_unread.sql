-- A member may mark messages as unread that were read. The read marker, which others see, does not move.

-- The member counts what follows this message as unread; null if nothing is marked.
alter table chat_members add column unread_after bigint;

-- The position up to which a member has read: the read marker, or the message before the first one that the member has
-- marked as unread, if that is earlier; at least the last message before the member joined.
create or replace function read_position(m chat_members) returns bigint
language sql stable parallel safe
return greatest(m.joined_after_message_id, least(m.unread_after, (
    select max(r.message_id) from receipts r
    where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'read'
)));

-- Sent only to the member's own devices.
create function members_marked_unread() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (chat_id, user_id)
        where n.unread_after is distinct from o.unread_after
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select 'read_state', m.chat_id, m.user_id, row_to_json(j)
    from new_rows n
    join old_rows o using (chat_id, user_id)
    join chat_members m using (chat_id, user_id)
    cross join lateral (
        select m.chat_id, to_rfc3339(clock_timestamp()) as at, read_position(m) as last_read_message_id,
               unread_count(m, read_position(m)) as unread_count,
               mention_count(m, read_position(m)) as mention_count
    ) j
    where n.unread_after is distinct from o.unread_after
    order by m.chat_id, m.user_id;
    perform notify_log();
    return null;
end $$;

create trigger members_marked_unread after update on chat_members
    referencing new table as new_rows old table as old_rows
    for each statement execute function members_marked_unread();

-- Marks a message and all after it as unread. Has no effect on messages that are unread anyway.
create function mark_unread(of_chat bigint, reader bigint, from_message bigint)
returns text language plpgsql as $$
begin
    perform append_lock();
    if not exists (select from chat_members m where m.chat_id = of_chat and m.user_id = reader) then
        return 'not_a_member';
    end if;
    if not exists (select from messages x where x.chat_id = of_chat and x.id = from_message) then
        return 'message_not_found';
    end if;
    update chat_members m set unread_after = greatest(from_message - 1, m.joined_after_message_id)
    where m.chat_id = of_chat and m.user_id = reader
      and greatest(from_message - 1, m.joined_after_message_id) < read_position(m);
    return 'done';
end $$;

-- As in 0027; what is read is not marked as unread any more.
create or replace function advance_marker(of_chat bigint, reader bigint, of_kind receipt_kind, to_message bigint)
returns table (outcome text, message_id bigint, at timestamptz) language plpgsql as $$
#variable_conflict use_column
declare
    of_type chat_type;
    unread_after bigint;
begin
    perform append_lock();
    select c.type, m.unread_after into of_type, unread_after
    from chat_members m join chats c on c.id = m.chat_id
    where m.chat_id = of_chat and m.user_id = reader;
    if of_type is null then
        return query select 'not_a_member', null::bigint, null::timestamptz;
        return;
    end if;
    if not exists (select from messages m where m.chat_id = of_chat and m.id = to_message) then
        return query select 'message_not_found', null::bigint, null::timestamptz;
        return;
    end if;
    if of_kind = 'delivered' and of_type not in ('single', 'group') then
        return query select 'done', to_message, clock_timestamp();
        return;
    end if;
    -- First, so that no event has a position before the one that was marked.
    if of_kind = 'read' and unread_after < to_message then
        update chat_members m
        set unread_after = case when exists (
            select from receipts r
            where r.chat_id = of_chat and r.user_id = reader and r.kind = 'read' and r.message_id > to_message
        ) then to_message end
        where m.chat_id = of_chat and m.user_id = reader;
    end if;
    insert into receipts (chat_id, user_id, kind, message_id)
    select of_chat, reader, of_kind, to_message
    where not exists (
        select from receipts r
        where r.chat_id = of_chat and r.user_id = reader and r.kind = of_kind and r.message_id >= to_message
    );
    return query
        select 'done', r.message_id, r.at from receipts r
        where r.chat_id = of_chat and r.user_id = reader and r.kind = of_kind
        order by r.message_id desc limit 1;
end $$;
