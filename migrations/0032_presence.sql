-- Presence. All of it is soft state except the status that users choose: a connection is
-- a row that is deleted with its replica.

create unlogged table connections (
    user_id    bigint not null references users on delete cascade,
    replica_id uuid   not null references replicas on delete cascade,
    primary key (user_id, replica_id)
);

create index connections_replica_id on connections (replica_id);

-- The status that users choose, and when they were last connected.
create table presences (
    user_id   bigint primary key references users on delete cascade,
    status    text   not null default 'online',
    last_seen timestamptz,
    constraint presences_status check (status in ('online', 'away', 'busy', 'offline'))
);

-- The presence of users as others see it. A user with the status offline was last seen
-- when they chose it.
create function presence_of(user_ids bigint[]) returns table (user_id bigint, status text, last_seen timestamptz)
language sql stable
begin atomic
    select p.id, s.status, case when s.status = 'offline' then own.last_seen else clock_timestamp() end
    from unnest(user_ids) p (id)
    left join presences own on own.user_id = p.id
    cross join lateral (
        select exists (
            select from connections c join replicas r on r.id = c.replica_id
            -- Ignore stopped replicas: if all stop, none deletes their connections.
            where c.user_id = p.id and r.heartbeat_at > clock_timestamp() - interval '15 seconds'
        ) as is_connected
    ) connectivity
    cross join lateral (
        select case when connectivity.is_connected then coalesce(own.status, 'online') else 'offline' end as status
    ) s;
end;

-- Locks the presences of users in one order, so that concurrent changes see each
-- other.
create function lock_presences(user_ids bigint[]) returns void language plpgsql as $$
begin
    insert into presences (user_id) select id from users where id = any(user_ids) order by id on conflict do nothing;
    perform from presences p where p.user_id = any(user_ids) order by p.user_id for no key update;
end $$;

-- Records that users connected to a replica, and returns who came online.
create function mark_connected(replica uuid, user_ids bigint[]) returns setof bigint language plpgsql as $$
begin
    perform lock_presences(user_ids);
    return query
    with inserted as (
        insert into connections as c (user_id, replica_id)
        select p.user_id, replica from presences p where p.user_id = any(user_ids)
        on conflict do nothing
        returning c.user_id
    )
    select p.user_id from inserted join presences p using (user_id)
    where p.status <> 'offline'
      and not exists (select from connections c where c.user_id = p.user_id and c.replica_id <> replica);
end $$;

-- Records that users left a replica some time ago, and returns who went offline.
create function mark_disconnected(replica uuid, user_ids bigint[], elapsed interval) returns setof bigint language plpgsql as $$
begin
    perform lock_presences(user_ids);
    return query
    with deleted as (
        delete from connections c where c.replica_id = replica and c.user_id = any(user_ids)
        returning c.user_id
    )
    update presences p set last_seen = clock_timestamp() - elapsed
    from deleted
    where p.user_id = deleted.user_id and p.status <> 'offline'
      and not exists (select from connections c where c.user_id = p.user_id and c.replica_id <> replica)
    returning p.user_id;
end $$;

-- Removes replicas whose heartbeat is older than a limit, and returns the users who went
-- offline with them.
create function reap_replicas(grace_period interval) returns setof bigint language plpgsql as $$
declare
    dead replicas;
begin
    for dead in select * from replicas where heartbeat_at < clock_timestamp() - grace_period order by id for update skip locked loop
        return query select mark_disconnected(
            dead.id, array(select user_id from connections where replica_id = dead.id), clock_timestamp() - dead.heartbeat_at
        );
        delete from replicas where id = dead.id;
    end loop;
end $$;
