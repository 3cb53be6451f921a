-- Events about messages. Postgres fires the triggers of a table in alphabetical order,
-- so their names fix the order of events.

create function messages_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into mentions (chat_id, message_id, user_id, sender_id)
    select n.chat_id, n.id, mentioned_user_id, n.sender_id
    from new_rows n
    cross join unnest(case when n.mentions_everyone then n.mentions || null::bigint else n.mentions end) mentioned_user_id;
    insert into events (type, chat_id, message_id, data)
    select 'message.new', m.chat_id, m.id, row_to_json(j)
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

-- The event contains the earlier mentions, so that a client can correct its counts
-- even if it has not loaded the message.
create function messages_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    ) then return null; end if;
    perform append_lock();
    delete from mentions x using new_rows n where x.message_id = n.id;
    insert into mentions (chat_id, message_id, user_id, sender_id)
    select n.chat_id, n.id, mentioned_user_id, n.sender_id
    from new_rows n
    cross join unnest(case when n.mentions_everyone then n.mentions || null::bigint else n.mentions end) mentioned_user_id
    where n.deleted_at is null;
    insert into events (type, chat_id, message_id, data)
    select case when n.deleted_at is null then 'message.updated' else 'message.deleted' end,
           n.chat_id, n.id,
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

-- Retention deletes all messages of a chat up to one message. The messages of a
-- deleted chat are deleted without an event.
create function messages_deleted() returns trigger language plpgsql as $$
begin
    if not exists (select from old_rows o join chats c on c.id = o.chat_id) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, message_id, data)
    select 'chat.trimmed', o.chat_id, o.last_message_id, row_to_json(j)
    from (select chat_id, max(id) as last_message_id from old_rows group by chat_id) o
    join chats c on c.id = o.chat_id
    cross join lateral (
        select o.chat_id, to_rfc3339(clock_timestamp()) as at, o.last_message_id as message_id
    ) j
    order by o.chat_id;
    perform notify_log();
    return null;
end $$;

create trigger messages_deleted after delete on messages
    referencing old table as old_rows
    for each statement execute function messages_deleted();

-- The transaction setting confab.actor names the user who pins or unpins.
create function messages_pinned() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.pinned_at is null) <> (o.pinned_at is null) and n.deleted_at is null
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, message_id, data)
    select case when n.pinned_at is null then 'message.unpinned' else 'message.pinned' end, n.chat_id, n.id,
           row_to_json(j)
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
