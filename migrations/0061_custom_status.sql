-- A temporary status that users set, an emoji and a text; and their time zone, if they share it.

-- An object with `text`, `emoji` and `expires_at`; null if nothing is set. After its end it is not shown any more.
alter table users
    add column custom_status jsonb,
    add column custom_status_expires_at timestamptz,
    add column time_zone text,
    add constraint users_custom_status_size check (octet_length(custom_status::text) <= 1024) not valid,
    add constraint users_time_zone_length check (char_length(time_zone) <= 64) not valid;

-- As in 0042, with both.
create or replace function user_json(u users) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select u.id, u.username, u.display_name, u.bio,
               '/api/files/' || u.avatar_file_id as avatar_url,
               to_rfc3339(u.created_at) as created_at, to_rfc3339(u.deleted_at) as deleted_at,
               u.kind, u.network,
               case when u.custom_status_expires_at is null or u.custom_status_expires_at > now()
                    then u.custom_status end as custom_status,
               u.time_zone
    ) j
);

-- As in 0020: a change of both is a change of the profile. When a status ends there is no event: clients know the time.
create or replace function users_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.username, n.display_name, n.bio, n.avatar_file_id, n.custom_status, n.time_zone) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id, o.custom_status, o.time_zone)
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
    where (n.username, n.display_name, n.bio, n.avatar_file_id, n.custom_status, n.time_zone) is distinct from
          (o.username, o.display_name, o.bio, o.avatar_file_id, o.custom_status, o.time_zone)
    order by n.id;
    perform notify_log();
    return null;
end $$;
