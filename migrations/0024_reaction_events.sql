-- Events about reactions.

create function reactions_changed() returns trigger language plpgsql as $$
begin
    -- Reactions are deleted with their message, without an event.
    if not exists (
        select from changed_rows r join messages m on m.id = r.message_id where m.deleted_at is null
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, message_id, data)
    select case tg_op when 'INSERT' then 'reaction.added' else 'reaction.removed' end, m.chat_id, m.id,
           row_to_json(j)
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
