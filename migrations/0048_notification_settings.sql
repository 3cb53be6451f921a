-- What notifies a user: a level for each type of chat and for single chats, words, and times of quiet.

create type notification_level as enum ('all', 'mentions', 'none');

alter table chat_members
    -- When the chat notifies again; null if it is muted for good, or not muted.
    add column muted_until timestamptz,
    -- Which messages notify; null for the level of the type of chat.
    add column notification_level notification_level;

-- The previous version of the servers changes only is_muted.
create function members_mute_reset() returns trigger language plpgsql as $$
begin
    if new.is_muted <> old.is_muted and new.muted_until is not distinct from old.muted_until then
        new.muted_until := null;
    end if;
    return new;
end $$;

create trigger members_mute_reset before update of is_muted on chat_members
    for each row execute function members_mute_reset();

-- A user without a row has the defaults.
create table notification_settings (
    user_id       bigint             primary key references users on delete cascade,
    direct_level  notification_level not null default 'all',
    group_level   notification_level not null default 'all',
    channel_level notification_level not null default 'mentions',
    -- Messages that contain one of these notify as mentions do.
    keywords      text[]             not null default '{}',
    -- Do not disturb: nothing notifies before this time.
    dnd_until     timestamptz,
    -- Quiet hours: nothing notifies between these times of the day in the user's time zone.
    quiet_from    time,
    quiet_until   time,
    time_zone     text,
    constraint notification_settings_quiet_hours check (
        (quiet_from is null) = (quiet_until is null) and (quiet_from is null) = (time_zone is null)
    )
);

create function notification_settings_json(s notification_settings) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select coalesce(s.direct_level, 'all') as direct_level, coalesce(s.group_level, 'all') as group_level,
               coalesce(s.channel_level, 'mentions') as channel_level, coalesce(s.keywords, '{}') as keywords,
               to_rfc3339(s.dnd_until) as dnd_until,
               case when s.quiet_from is not null then json_build_object(
                   'from', to_char(s.quiet_from, 'HH24:MI'), 'until', to_char(s.quiet_until, 'HH24:MI'),
                   'time_zone', s.time_zone
               ) end as quiet_hours
    ) j
);

-- Whether a chat is muted now.
create function is_muted_now(m chat_members) returns boolean
language sql stable parallel safe
return m.is_muted and coalesce(m.muted_until > now(), true);

-- Which messages of a chat of this type notify a member with these settings, which may be null.
create function notification_level_of(m chat_members, of_type chat_type, s notification_settings) returns notification_level
language sql stable parallel safe
return coalesce(m.notification_level, case of_type
    when 'single' then coalesce(s.direct_level, 'all')
    when 'group' then coalesce(s.group_level, 'all')
    else coalesce(s.channel_level, 'mentions')
end);

-- Sent only to the member's own devices.
create or replace function members_muted() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (chat_id, user_id)
        where (n.is_muted, n.muted_until, n.notification_level)
              is distinct from (o.is_muted, o.muted_until, o.notification_level)
    ) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select event.type, n.chat_id, n.user_id, event.data
    from new_rows n
    join old_rows o using (chat_id, user_id)
    cross join lateral (values
        (1, 'chat.muted', (n.is_muted, n.muted_until) is distinct from (o.is_muted, o.muted_until), json_build_object(
            'chat_id', n.chat_id, 'at', to_rfc3339(clock_timestamp()), 'is_muted', n.is_muted,
            'muted_until', to_rfc3339(n.muted_until)
        )),
        (2, 'chat.notification_level', n.notification_level is distinct from o.notification_level, json_build_object(
            'chat_id', n.chat_id, 'at', to_rfc3339(clock_timestamp()), 'notification_level', n.notification_level
        ))
    ) event (step, type, has_changed, data)
    where event.has_changed
    order by n.chat_id, n.user_id, event.step;
    perform notify_log();
    return null;
end $$;

-- Sent only to the user's own devices.
create function notification_settings_changed() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, user_id, data)
    select 'notification_settings.updated', new.user_id, row_to_json(j)
    from (select to_rfc3339(clock_timestamp()) as at, notification_settings_json(new) as settings) j;
    perform notify_log();
    return null;
end $$;

create trigger notification_settings_changed after insert or update on notification_settings
    for each row execute function notification_settings_changed();
