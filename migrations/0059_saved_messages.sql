-- Messages that users have saved for later. Nobody else learns of them.

create table saved_messages (
    id         bigint      generated always as identity primary key,
    user_id    bigint      not null references users on delete cascade,
    chat_id    bigint      not null,
    message_id bigint      not null references messages on delete cascade,
    saved_at   timestamptz not null default clock_timestamp(),
    unique (user_id, message_id)
);

create index saved_messages_list on saved_messages (user_id, id);
create index saved_messages_message_id on saved_messages (message_id);
create index saved_messages_chat_id on saved_messages (chat_id);

-- Sent only to the user's own devices.
create function saved_messages_changed() returns trigger language plpgsql as $$
begin
    if not exists (select from changed_rows) then return null; end if;
    perform append_lock();
    insert into events (type, user_id, data)
    select case tg_op when 'INSERT' then 'message.saved' else 'message.unsaved' end, s.user_id, row_to_json(j)
    from changed_rows s
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at, s.message_id
    ) j
    order by s.id;
    perform notify_log();
    return null;
end $$;

create trigger saved_messages_inserted after insert on saved_messages
    referencing new table as changed_rows for each statement execute function saved_messages_changed();
create trigger saved_messages_deleted after delete on saved_messages
    referencing old table as changed_rows for each statement execute function saved_messages_changed();

-- The messages of a deleted chat are deleted later, without the append lock: what was saved of them is removed now.
create function chats_deleted_saved_messages() returns trigger language plpgsql as $$
begin
    delete from saved_messages s where s.chat_id = old.id;
    return old;
end $$;

create trigger chats_deleted_saved_messages before delete on chats
    for each row execute function chats_deleted_saved_messages();

-- As in 0037, and removes the texts of a change (0056). A deleted message is not kept for later.
create or replace function erase_message(of_message bigint) returns boolean language plpgsql as $$
begin
    -- Done first, so that the rows below are deleted without events.
    update messages m
    set content = '', mentions = '{}', mentions_everyone = false, pinned_at = null, pinned_by = null,
        extra = null, change = change - '{name,topic}'::text[],
        deleted_at = clock_timestamp()
    where m.id = of_message and m.deleted_at is null;
    if not found then return false; end if;
    delete from saved_messages s where s.message_id = of_message;
    delete from reactions r where r.message_id = of_message;
    delete from message_edits e where e.message_id = of_message;
    delete from message_files mf where mf.message_id = of_message;
    return true;
end $$;

create function save_message(of_message bigint, actor bigint, max_saved int) returns text language plpgsql as $$
declare
    access message_access;
begin
    perform append_lock();
    access := access_of(of_message, actor);
    if access.chat_id is null then return 'not_found'; end if;
    if access.is_deleted then return 'deleted'; end if;
    if exists (select from saved_messages s where s.user_id = actor and s.message_id = of_message) then
        return 'done';
    end if;
    if (select count(*) from saved_messages s where s.user_id = actor) >= max_saved then return 'too_many'; end if;
    insert into saved_messages (user_id, chat_id, message_id) values (actor, access.chat_id, of_message);
    return 'done';
end $$;
