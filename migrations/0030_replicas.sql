-- The running notify servers. Soft state: it is written again after a crash, so the table
-- is unlogged, and a heartbeat does not wait for the disk.

create unlogged table replicas (
    id         uuid primary key,
    -- Its address, for operators.
    name       text not null,
    -- The oldest replica leads.
    started_at timestamptz not null default clock_timestamp(),
    heartbeat_at    timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Records a heartbeat and returns the leader: the oldest replica with a heartbeat
-- within the lease. A replica that was silent for longer starts again as the youngest.
create function heartbeat(replica uuid, replica_name text, lease interval) returns table (leader uuid, is_first boolean) language plpgsql as $$
begin
    insert into replicas as r (id, name) values (replica, replica_name)
    on conflict (id) do update set
        heartbeat_at = clock_timestamp(),
        started_at = case when r.heartbeat_at < clock_timestamp() - lease then clock_timestamp() else r.started_at end
    -- xmax is 0 only for an inserted row.
    returning r.xmax = 0 into is_first;
    leader := (select id from replicas where heartbeat_at >= clock_timestamp() - lease order by started_at, id limit 1);
    return next;
end $$;
