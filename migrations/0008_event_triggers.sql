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
    insert into events (type, chat_id, data)
    select 'message.new', m.chat_id, row_to_json(j)
    from new_rows n
    join message_view m on m.id = n.id
    cross join lateral (
        select m.chat_id, wire_time(clock_timestamp()) as at, m.json as message
    ) j
    order by m.id;
    perform ring();
    return null;
end $$;

create trigger messages_inserted after insert on messages
    referencing new table as new_rows
    for each statement execute function messages_inserted();

create function messages_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select case when n.deleted_at is null then 'message.updated' else 'message.deleted' end,
           n.chat_id,
           case when n.deleted_at is null then row_to_json(updated) else row_to_json(deleted) end
    from new_rows n
    join old_rows o using (id)
    join message_view m using (id)
    cross join lateral (
        select n.chat_id, wire_time(clock_timestamp()) as at, m.json as message
    ) updated
    cross join lateral (
        select n.chat_id, wire_time(clock_timestamp()) as at, n.id as message_id
    ) deleted
    where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    order by n.id;
    perform ring();
    return null;
end $$;

create trigger messages_updated after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_updated();

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
            select n.chat_id, wire_time(clock_timestamp()) as at, n.user_id, n.role, user_json(u) as user
        ) j
        union all
        select 2, case when a.present > a.arrived then 'chat.added' else 'chat.new' end,
               n.chat_id, n.user_id, n.user_id, row_to_json(j)
        from new_rows n
        join arrivals a on a.chat_id = n.chat_id
        join chats c on c.id = n.chat_id
        cross join lateral (
            select n.chat_id, wire_time(clock_timestamp()) as at, chat_json(c, a.present, n.role) as chat
        ) j
    ) event
    order by event.step, event.chat_id, event.subject;
    perform ring();
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
        select n.chat_id, wire_time(clock_timestamp()) as at, n.user_id, n.role
    ) j
    where n.role <> o.role
    order by n.chat_id, n.user_id;
    perform ring();
    return null;
end $$;

create trigger members_updated after update on chat_members
    referencing new table as new_rows old table as old_rows
    for each statement execute function members_updated();

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
        select o.chat_id, wire_time(clock_timestamp()) as at, o.user_id,
               case when actor = o.user_id::text then 'left' else 'removed' end as reason
    ) j
    order by event.step, o.chat_id, o.user_id;
    perform ring();
    return null;
end $$;

create trigger members_deleted after delete on chat_members
    referencing old table as old_rows
    for each statement execute function members_deleted();

create function chats_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.name, n.description) is distinct from (o.name, o.description)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, data)
    select 'chat.updated', n.id, row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (
        select n.id as chat_id, wire_time(clock_timestamp()) as at,
               chat_json((select c from chats c where c.id = n.id), member_count(n.id), null) as chat
    ) j
    where (n.name, n.description) is distinct from (o.name, o.description)
    order by n.id;
    perform ring();
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
    from (select old.id as chat_id, wire_time(clock_timestamp()) as at, chat_json(old, member_count(old.id), null) as chat) j
    cross join chat_members m
    where m.chat_id = old.id
    order by m.user_id;
    perform ring();
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
        select n.chat_id, wire_time(clock_timestamp()) as at, n.user_id, n.message_id, wire_time(n.at) as read_at
    ) r
    cross join lateral (
        select n.chat_id, wire_time(clock_timestamp()) as at, n.user_id, n.message_id, wire_time(n.at) as delivered_at
    ) d
    order by n.chat_id, n.user_id, n.message_id;
    perform ring();
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
        where (n.username, n.display_name) is distinct from (o.username, o.display_name)
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
        select wire_time(clock_timestamp()) as at,
               user_json((select u from users u where u.id = n.id)) as user
    ) j
    where (n.username, n.display_name) is distinct from (o.username, o.display_name)
    order by n.id, audience.chat_id nulls first;
    perform ring();
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
    cross join lateral (select wire_time(clock_timestamp()) as at, n.id as session_id) j
    where n.revoked_at is not null and o.revoked_at is null
    order by n.id;
    perform ring();
    return null;
end $$;

create trigger sessions_updated after update on sessions
    referencing new table as new_rows old table as old_rows
    for each statement execute function sessions_updated();
