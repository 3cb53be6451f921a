-- Deleting a chat deletes its row, its members and its markers under the append lock. Its
-- messages, which may be many, are deleted later, in batches and without the lock: nobody
-- can read them, because every query of messages requires a member of their chat.

alter table messages drop constraint messages_chat_id_fkey;

-- Deleted chats that still have messages.
create table deleted_chats (
    chat_id    bigint primary key,
    deleted_at timestamptz not null default clock_timestamp()
);

-- Runs before the delete and once per row, because the members are the recipients of the
-- event and are deleted with their chat.
create or replace function chat_deleted() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select 'chat.deleted', old.id, m.user_id, row_to_json(j)
    from (select old.id as chat_id, to_rfc3339(clock_timestamp()) as at, chat_json(old, member_count(old.id), null) as chat) j
    cross join chat_members m
    where m.chat_id = old.id
    order by m.user_id;
    perform notify_log();
    insert into deleted_chats (chat_id) values (old.id);
    return old;
end $$;

-- Deletes up to `batch_size` messages of deleted chats, and returns how many. The trigger
-- on messages appends no event for them, because their chat does not exist.
create function purge_deleted_chats(batch_size int) returns int language plpgsql as $$
declare
    purged         bigint;
    deleted_count  int;
begin
    select chat_id into purged from deleted_chats order by deleted_at limit 1 for update skip locked;
    if purged is null then return 0; end if;
    delete from messages where id in (select id from messages where chat_id = purged order by id desc limit batch_size);
    get diagnostics deleted_count = row_count;
    if deleted_count < batch_size then
        delete from deleted_chats where chat_id = purged;
    end if;
    return deleted_count;
end $$;
