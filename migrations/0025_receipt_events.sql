-- Events about receipts.

create function receipts_inserted() returns trigger language plpgsql as $$
begin
    if not exists (select from new_rows) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, message_id, data)
    select 'message.' || n.kind, n.chat_id, n.message_id,
           case n.kind when 'read' then row_to_json(r) else row_to_json(d) end
    from new_rows n
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.message_id, to_rfc3339(n.at) as read_at
    ) r
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.user_id, n.message_id, to_rfc3339(n.at) as delivered_at
    ) d
    order by n.chat_id, n.user_id, n.message_id;
    -- Sent to the reader's own devices.
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
