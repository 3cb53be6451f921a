-- Events about members. Each trigger runs once per statement.
--
-- Four event types change a membership, and each is addressed to the user of that
-- membership: chat.new and chat.added begin it, chat.removed and chat.deleted end it.
-- member.joined is written before chat.added, and member.left after chat.removed, so
-- that both are sent to exactly the other members.

create function members_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    with chat_counts as materialized (
        select chat_id, count(*) as joined_count, member_count(chat_id) as total_count
        from new_rows group by chat_id
    )
    select event.type, event.chat_id, event.user_id, event.data
    from (
        select 1 as step, 'member.joined' as type, n.chat_id, n.user_id as subject,
               null::bigint as user_id, row_to_json(j) as data
        from new_rows n
        join chat_counts a on a.chat_id = n.chat_id and a.total_count > a.joined_count
        join users u on u.id = n.user_id
        cross join lateral (
            select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.role, user_json(u) as user
        ) j
        union all
        select 2, case when a.total_count > a.joined_count then 'chat.added' else 'chat.new' end,
               n.chat_id, n.user_id, n.user_id, row_to_json(j)
        from new_rows n
        join chat_counts a on a.chat_id = n.chat_id
        join chats c on c.id = n.chat_id
        cross join lateral (
            select n.chat_id, to_rfc3339(clock_timestamp()) as at, chat_json(c, a.total_count, n.role) as chat,
                   nullif(n.joined_after_message_id, 0) as last_read_message_id
        ) j
    ) event
    order by event.step, event.chat_id, event.subject;
    perform notify_log();
    return null;
end $$;

create trigger members_inserted after insert on chat_members
    referencing new table as new_rows
    for each statement execute function members_inserted();

create function members_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (chat_id, user_id) where n.role <> o.role
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select 'member.updated', n.chat_id, row_to_json(j)
    from new_rows n
    join old_rows o using (chat_id, user_id)
    join chats c on c.id = n.chat_id
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.role,
               permissions_of(c.type, n.role) as permissions
    ) j
    where n.role <> o.role
    order by n.chat_id, n.user_id;
    perform notify_log();
    return null;
end $$;

create trigger members_updated after update on chat_members
    referencing new table as new_rows old table as old_rows
    for each statement execute function members_updated();

-- Sent only to the member's own devices.
create function members_muted() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (chat_id, user_id) where n.is_muted <> o.is_muted
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select 'chat.muted', n.chat_id, n.user_id, row_to_json(j)
    from new_rows n
    join old_rows o using (chat_id, user_id)
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.is_muted
    ) j
    where n.is_muted <> o.is_muted
    order by n.chat_id, n.user_id;
    perform notify_log();
    return null;
end $$;

create trigger members_muted after update on chat_members
    referencing new table as new_rows old table as old_rows
    for each statement execute function members_muted();

-- The transaction setting confab.actor names the user who removes a member; a member
-- who removes themselves has the reason "left".
create function members_deleted() returns trigger language plpgsql as $$
declare
    actor text := coalesce(current_setting('confab.actor', true), '');
begin
    -- If the chat was deleted, its members have already received chat.deleted.
    if not exists (select from old_rows o join chats c on c.id = o.chat_id) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select event.type, o.chat_id, case event.type when 'chat.removed' then o.user_id end, row_to_json(j)
    from old_rows o
    join chats c on c.id = o.chat_id
    cross join (values (1, 'chat.removed'), (2, 'member.left')) event (step, type)
    cross join lateral (
        select o.chat_id, to_rfc3339(clock_timestamp()) as at, o.user_id,
               case when actor = o.user_id::text then 'left'
                    when exists (select from chat_bans b where b.chat_id = o.chat_id and b.user_id = o.user_id) then 'banned'
                    else 'removed' end as reason
    ) j
    order by event.step, o.chat_id, o.user_id;
    perform notify_log();
    return null;
end $$;

create trigger members_deleted after delete on chat_members
    referencing old table as old_rows
    for each statement execute function members_deleted();
