-- Events about users and their sessions.

-- A change of a profile is one event for everybody who shares a chat with the user,
-- instead of one event in each chat: a user in many chats cannot fill the log.
create function users_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.username, n.display_name, n.bio, n.avatar_file_id) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, user_id, chat_ids, data)
    select 'user.updated', n.id, array(select m.chat_id from chat_members m where m.user_id = n.id), row_to_json(j)
    from new_rows n
    join old_rows o using (id)
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at,
               user_json((select u from users u where u.id = n.id)) as user
    ) j
    where (n.username, n.display_name, n.bio, n.avatar_file_id) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id)
    order by n.id;
    perform notify_log();
    return null;
end $$;

create trigger users_updated after update on users
    referencing new table as new_rows old table as old_rows
    for each statement execute function users_updated();

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

-- Sent only to the devices of the user who blocks.
create function blocks_changed() returns trigger language plpgsql as $$
begin
    if not exists (select from changed_rows) then return null; end if;
    perform append_lock();
    insert into events (type, user_id, data)
    select case tg_op when 'INSERT' then 'user.blocked' else 'user.unblocked' end, b.blocker_id, row_to_json(j)
    from changed_rows b
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at, user_json((select u from users u where u.id = b.blocked_id)) as user
    ) j
    order by b.blocker_id, b.blocked_id;
    perform notify_log();
    return null;
end $$;

create trigger blocks_inserted after insert on blocks
    referencing new table as changed_rows for each statement execute function blocks_changed();
create trigger blocks_deleted after delete on blocks
    referencing old table as changed_rows for each statement execute function blocks_changed();
