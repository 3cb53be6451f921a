-- Deletes messages that are older than the retention of their chat, or of the server if
-- the chat has none.

-- Finds up to `batch_size` expired messages, without the append lock. The rest of a chat
-- is read only if the oldest message of the chat has expired.
create function find_expired_messages(server_days int, batch_size int) returns setof bigint
language sql stable rows 500
begin atomic
    with cutoffs as (
        select c.id as chat_id, now() - make_interval(days => coalesce(c.retention_days, server_days)) as older_than
        from chats c
        where coalesce(c.retention_days, server_days) is not null
    ), affected as (
        select o.chat_id, o.older_than from cutoffs o
        cross join lateral (
            select m.created_at from messages m where m.chat_id = o.chat_id order by m.id limit 1
        ) oldest
        where oldest.created_at < o.older_than
    )
    select m.id from affected a
    cross join lateral (
        select m.id, m.created_at from messages m where m.chat_id = a.chat_id order by m.id limit batch_size
    ) m
    where m.created_at < a.older_than
    order by m.id limit batch_size;
end;

-- Checks the found messages again under the append lock, deletes those that have
-- expired, and returns how many.
create function delete_expired_messages(server_days int, message_ids bigint[]) returns int language plpgsql as $$
declare
    deleted_count int;
begin
    perform append_lock();
    delete from messages m using chats c
    where m.id = any (message_ids) and c.id = m.chat_id
      and m.created_at < now() - make_interval(days => coalesce(c.retention_days, server_days));
    get diagnostics deleted_count = row_count;
    return deleted_count;
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
