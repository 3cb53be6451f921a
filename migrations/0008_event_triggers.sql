-- What people can see change becomes an event, whoever changes it. The triggers
-- run once a statement, not once a row.
--
-- Four types move the boundary of what a person may hear, and each is addressed
-- to that person: chat.new and chat.added let them in, chat.removed and
-- chat.deleted let them out. The order within one change does the rest: "Bob
-- joined" is written before Bob is let in and "Bob left" after he is let out, so
-- both reach exactly the others.

create function messages_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into mentions (chat_id, message_id, user_id, sender_id)
    select n.chat_id, n.id, who, n.sender_id
    from new_rows n
    cross join unnest(case when n.mentions_everyone then n.mentions || null::bigint else n.mentions end) who;
    insert into events (type, chat_id, data)
    select 'message.new', m.chat_id, row_to_json(j)
    from new_rows n
    join message_view m on m.id = n.id
    cross join lateral (
        select m.chat_id, to_rfc3339(clock_timestamp()) as at, m.json as message
    ) j
    order by m.id;
    perform notify_log();
    return null;
end $$;

create trigger messages_inserted after insert on messages
    referencing new table as new_rows
    for each statement execute function messages_inserted();

-- Whom it called before is told too: a client that counts what calls its user
-- need not have the message to count on.
create function messages_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    ) then return null; end if;
    perform append_lock();
    delete from mentions x using new_rows n where x.message_id = n.id;
    insert into mentions (chat_id, message_id, user_id, sender_id)
    select n.chat_id, n.id, who, n.sender_id
    from new_rows n
    cross join unnest(case when n.mentions_everyone then n.mentions || null::bigint else n.mentions end) who
    where n.deleted_at is null;
    insert into events (type, chat_id, data)
    select case when n.deleted_at is null then 'message.updated' else 'message.deleted' end,
           n.chat_id,
           case when n.deleted_at is null then row_to_json(updated) else row_to_json(deleted) end
    from new_rows n
    join old_rows o using (id)
    join message_view m using (id)
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, m.json as message,
               o.mentions as mentions_before, o.mentions_everyone as mentions_everyone_before
    ) updated
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.id as message_id, n.sender_id,
               to_rfc3339(n.deleted_at) as deleted_at,
               o.mentions as mentions_before, o.mentions_everyone as mentions_everyone_before
    ) deleted
    where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    order by n.id;
    perform notify_log();
    return null;
end $$;

create trigger messages_updated after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_updated();

-- Retention takes the oldest messages of a chat away, all up to one. The messages
-- of a chat that is deleted go in silence.
create function messages_deleted() returns trigger language plpgsql as $$
begin
    if not exists (select from old_rows o join chats c on c.id = o.chat_id) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select 'chat.trimmed', o.chat_id, row_to_json(j)
    from (select chat_id, max(id) as upto from old_rows group by chat_id) o
    join chats c on c.id = o.chat_id
    cross join lateral (
        select o.chat_id, to_rfc3339(clock_timestamp()) as at, o.upto as message_id
    ) j
    order by o.chat_id;
    perform notify_log();
    return null;
end $$;

create trigger messages_deleted after delete on messages
    referencing old table as old_rows
    for each statement execute function messages_deleted();

-- A pin is for everybody to see; whoever sets it says who they are in the
-- transaction's setting confab.actor.
create function messages_pinned() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.pinned_at is null) <> (o.pinned_at is null) and n.deleted_at is null
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select case when n.pinned_at is null then 'message.unpinned' else 'message.pinned' end, n.chat_id, row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.id as message_id,
               nullif(current_setting('confab.actor', true), '')::bigint as user_id
    ) j
    where (n.pinned_at is null) <> (o.pinned_at is null) and n.deleted_at is null
    order by n.id;
    perform notify_log();
    return null;
end $$;

create trigger messages_pinned after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_pinned();

create function reactions_changed() returns trigger language plpgsql as $$
begin
    -- The reactions to a deleted message go with it, in silence.
    if not exists (
        select from changed_rows r join messages m on m.id = r.message_id where m.deleted_at is null
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select case tg_op when 'INSERT' then 'reaction.added' else 'reaction.removed' end, m.chat_id, row_to_json(j)
    from changed_rows r
    join messages m on m.id = r.message_id and m.deleted_at is null
    cross join lateral (
        select m.chat_id, to_rfc3339(clock_timestamp()) as at, r.message_id, r.user_id, r.emoji
    ) j
    order by r.message_id, r.created_at, r.user_id;
    perform notify_log();
    return null;
end $$;

create trigger reactions_inserted after insert on reactions
    referencing new table as changed_rows
    for each statement execute function reactions_changed();

create trigger reactions_deleted after delete on reactions
    referencing old table as changed_rows
    for each statement execute function reactions_changed();

-- A chat is new to all of its members when nobody was in it before.
create function members_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    with arrivals as materialized (
        select chat_id, count(*) as arrived, member_count(chat_id) as present
        from new_rows group by chat_id
    )
    select event.type, event.chat_id, event.user_id, event.data
    from (
        select 1 as step, 'member.joined' as type, n.chat_id, n.user_id as subject,
               null::bigint as user_id, row_to_json(j) as data
        from new_rows n
        join arrivals a on a.chat_id = n.chat_id and a.present > a.arrived
        join users u on u.id = n.user_id
        cross join lateral (
            select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.role, user_json(u) as user
        ) j
        union all
        select 2, case when a.present > a.arrived then 'chat.added' else 'chat.new' end,
               n.chat_id, n.user_id, n.user_id, row_to_json(j)
        from new_rows n
        join arrivals a on a.chat_id = n.chat_id
        join chats c on c.id = n.chat_id
        cross join lateral (
            select n.chat_id, to_rfc3339(clock_timestamp()) as at, chat_json(c, a.present, n.role) as chat,
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
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.role
    ) j
    where n.role <> o.role
    order by n.chat_id, n.user_id;
    perform notify_log();
    return null;
end $$;

create trigger members_updated after update on chat_members
    referencing new table as new_rows old table as old_rows
    for each statement execute function members_updated();

-- What a member wishes for themselves is for their own devices.
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

-- Whoever takes a membership away says who does it, in the transaction's
-- setting confab.actor; leaving on one's own has the reason "left".
create function members_deleted() returns trigger language plpgsql as $$
declare
    actor text := coalesce(current_setting('confab.actor', true), '');
begin
    -- The members of a deleted chat have been told chat.deleted.
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

create function chats_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.name, n.description, n.topic, n.retention_days) is distinct from
              (o.name, o.description, o.topic, o.retention_days)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select 'chat.updated', n.id, row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (
        select n.id as chat_id, to_rfc3339(clock_timestamp()) as at,
               chat_json((select c from chats c where c.id = n.id), member_count(n.id), null) as chat
    ) j
    where (n.name, n.description, n.topic, n.retention_days) is distinct from
              (o.name, o.description, o.topic, o.retention_days)
    order by n.id;
    perform notify_log();
    return null;
end $$;

create trigger chats_updated after update on chats
    referencing new table as new_rows old table as old_rows
    for each statement execute function chats_updated();

-- Before, and a row at a time, because the members go with their chat and must
-- still be there to be told.
create function chat_deleted() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select 'chat.deleted', old.id, m.user_id, row_to_json(j)
    from (select old.id as chat_id, to_rfc3339(clock_timestamp()) as at, chat_json(old, member_count(old.id), null) as chat) j
    cross join chat_members m
    where m.chat_id = old.id
    order by m.user_id;
    perform notify_log();
    return old;
end $$;

create trigger chat_deleted before delete on chats
    for each row execute function chat_deleted();

create function receipts_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select 'message.' || n.kind, n.chat_id,
           case n.kind when 'read' then row_to_json(r) else row_to_json(d) end
    from new_rows n
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.message_id, to_rfc3339(n.at) as read_at
    ) r
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.message_id, to_rfc3339(n.at) as delivered_at
    ) d
    order by n.chat_id, n.user_id, n.message_id;
    -- The reader's other devices show what is left.
    insert into events (type, chat_id, user_id, data)
    select 'read_state', m.chat_id, m.user_id, row_to_json(j)
    from (
        select distinct chat_id, user_id from new_rows where kind = 'read'
    ) n
    join chat_members m using (chat_id, user_id)
    cross join lateral (
        select m.chat_id, to_rfc3339(clock_timestamp()) as at, read_position(m) as last_read_message_id,
               unread_count(m, read_position(m)) as unread_count,
               mention_count(m, read_position(m)) as mention_count
    ) j
    order by m.chat_id, m.user_id;
    perform notify_log();
    return null;
end $$;

create trigger receipts_inserted after insert on receipts
    referencing new table as new_rows
    for each statement execute function receipts_inserted();

-- A person's new name goes to themselves and to every chat they are in.
create function users_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.username, n.display_name, n.bio, n.avatar_file_id) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select 'user.updated', audience.chat_id, audience.user_id, row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (
        select null::bigint as chat_id, n.id as user_id
        union all
        select m.chat_id, null from chat_members m where m.user_id = n.id
    ) audience
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at,
               user_json((select u from users u where u.id = n.id)) as user
    ) j
    where (n.username, n.display_name, n.bio, n.avatar_file_id) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id)
    order by n.id, audience.chat_id nulls first;
    perform notify_log();
    return null;
end $$;

create trigger users_updated after update on users
    referencing new table as new_rows old table as old_rows
    for each statement execute function users_updated();

-- A session that ends is told to its owner's devices; the streams that it opened
-- end with it.
create function sessions_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where n.revoked_at is not null and o.revoked_at is null
    ) then return null; end if;
    perform append_lock();
    insert into events (type, user_id, data)
    select 'session.revoked', n.user_id, row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (select to_rfc3339(clock_timestamp()) as at, n.id as session_id) j
    where n.revoked_at is not null and o.revoked_at is null
    order by n.id;
    perform notify_log();
    return null;
end $$;

create trigger sessions_updated after update on sessions
    referencing new table as new_rows old table as old_rows
    for each statement execute function sessions_updated();
