-- Who carries events, and who is connected to them. Soft state: it is told anew
-- after a crash, so it is not in the write-ahead log, and a beat waits for no disk.

-- The notify servers that run. Each says so a few times a second; one that has
-- been silent counts for nothing.
create unlogged table replicas (
    id         uuid primary key,
    -- Where it listens, for whoever looks.
    name       text not null,
    -- The one that has lived longest leads.
    started_at timestamptz not null default clock_timestamp(),
    heartbeat_at    timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Says that a replica lives, and answers who leads: the one that has lived longest
-- of those heard of within the lease. One that comes back from a longer silence
-- begins a new life, behind all others.
create function heartbeat(replica uuid, called text, lease interval) returns table (leader uuid, is_first boolean) language plpgsql as $$
begin
    insert into replicas as r (id, name) values (replica, called)
    on conflict (id) do update set
        heartbeat_at = clock_timestamp(),
        started_at = case when r.heartbeat_at < clock_timestamp() - lease then clock_timestamp() else r.started_at end
    -- Only a row that was there before has been locked by its update.
    returning r.xmax = 0 into is_first;
    leader := (select id from replicas where heartbeat_at >= clock_timestamp() - lease order by started_at, id limit 1);
    return next;
end $$;

-- What the servers of this database know and nobody else does. Servers that meet
-- in Redis tell each other's words from anybody's by it.
create table cluster_key (
    is_only boolean primary key default true check (is_only),
    secret  bytea not null default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);
insert into cluster_key default values;
