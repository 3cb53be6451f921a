-- Events about chats.

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

-- Runs before the delete and once per row, because the members are the audience of the
-- event and are deleted with their chat.
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
    insert into deleted_chats (chat_id) values (old.id);
    return old;
end $$;

create trigger chat_deleted before delete on chats
    for each row execute function chat_deleted();
