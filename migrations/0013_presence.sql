-- Who is here. Soft state but for what people chose themselves: a connection is a
-- row that goes with its replica.

create unlogged table connections (
    user_id    bigint not null references users on delete cascade,
    replica_id uuid   not null references replicas on delete cascade,
    primary key (user_id, replica_id)
);

create index connections_replica_id on connections (replica_id);

-- How people wish to be seen while they are here, and when they last were.
create table presences (
    user_id   bigint primary key references users on delete cascade,
    status    text   not null default 'online',
    last_seen timestamptz,
    constraint presences_status check (status in ('online', 'away', 'busy', 'offline'))
);

-- How people are seen. Who wishes to seem away for good was last seen when they
-- said so.
create function presence_of(people bigint[]) returns table (user_id bigint, status text, last_seen timestamptz)
language sql stable
begin atomic
    select p.id, s.status, case when s.status = 'offline' then own.last_seen else clock_timestamp() end
    from unnest(people) p (id)
    left join presences own on own.user_id = p.id
    cross join lateral (
        select exists (
            select from connections c join replicas r on r.id = c.replica_id
            -- The replicas of a server that is gone as a whole: nobody sweeps.
            where c.user_id = p.id and r.heartbeat_at > clock_timestamp() - interval '15 seconds'
        ) as is_connected
    ) here
    cross join lateral (
        select case when here.is_connected then coalesce(own.status, 'online') else 'offline' end as status
    ) s;
end;

-- Holds the presences of these people, in one order, so that of two who come and
-- go at once the second sees what the first did.
create function lock_presences(people bigint[]) returns void language plpgsql as $$
begin
    insert into presences (user_id) select id from users where id = any(people) order by id on conflict do nothing;
    perform from presences p where p.user_id = any(people) order by p.user_id for no key update;
end $$;

-- These people have connected to a replica; answers those who are seen to come.
create function mark_connected(replica uuid, people bigint[]) returns setof bigint language plpgsql as $$
begin
    perform lock_presences(people);
    return query
    with came as (
        insert into connections as c (user_id, replica_id)
        select p.user_id, replica from presences p where p.user_id = any(people)
        on conflict do nothing
        returning c.user_id
    )
    select p.user_id from came join presences p using (user_id)
    where p.status <> 'offline'
      and not exists (select from connections c where c.user_id = p.user_id and c.replica_id <> replica);
end $$;

-- These people left a replica some time ago; answers those who are seen to go.
create function mark_disconnected(replica uuid, people bigint[], ago interval) returns setof bigint language plpgsql as $$
begin
    perform lock_presences(people);
    return query
    with gone as (
        delete from connections c where c.replica_id = replica and c.user_id = any(people)
        returning c.user_id
    )
    update presences p set last_seen = clock_timestamp() - ago
    from gone
    where p.user_id = gone.user_id and p.status <> 'offline'
      and not exists (select from connections c where c.user_id = p.user_id and c.replica_id <> replica)
    returning p.user_id;
end $$;

-- Sweeps up after replicas that have been silent for so long; answers those who
-- are seen to go.
create function reap_replicas(silence interval) returns setof bigint language plpgsql as $$
declare
    dead replicas;
begin
    for dead in select * from replicas where heartbeat_at < clock_timestamp() - silence order by id for update skip locked loop
        return query select mark_disconnected(
            dead.id, array(select user_id from connections where replica_id = dead.id), clock_timestamp() - dead.heartbeat_at
        );
        delete from replicas where id = dead.id;
    end loop;
end $$;
