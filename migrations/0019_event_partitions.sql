-- Functions that create and drop partitions of the event log.

-- Creates the partitions that the log will need: `ahead` partitions of `size` events
-- past the last event.
create function add_event_partitions(size bigint, ahead int) returns int language plpgsql as $$
declare
    last_id  bigint := (select last_value from events_id_seq);
    -- The end of the last partition, or of the events in the default partition.
    next_bound  bigint := greatest(
        1,
        (select max((regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \('(\d+)'\)$x$))[1]::bigint)
         from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'events'::regclass),
        (select max(id) + 1 from events_default)
    );
    created_count  int := 0;
begin
    if not pg_try_advisory_xact_lock(4861703374917) then return 0; end if;
    while next_bound <= last_id + size * ahead loop
        -- Create, then attach: creating a partition in place would block every reader.
        execute format('create table events_%s (like events including all)', next_bound);
        execute format('alter table events_%1$s add constraint bounds check (id >= %1$s and id < %2$s)', next_bound, next_bound + size);
        execute format('alter table events attach partition events_%1$s for values from (%1$s) to (%2$s)', next_bound, next_bound + size);
        execute format('alter table events_%s drop constraint bounds', next_bound);
        next_bound := next_bound + size;
        created_count := created_count + 1;
    end loop;
    return created_count;
end $$;

-- Drops the partitions whose last event is older than a time. The partition with the
-- last event stays, because positions continue from it.
create function drop_event_partitions(older_than timestamptz) returns int language plpgsql as $$
declare
    part    record;
    is_old  boolean;
    dropped int := 0;
begin
    -- Limit the wait: all readers queue behind a waiting drop.
    perform set_config('lock_timeout', '1s', true);
    for part in
        select c.oid::regclass as name, (regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \('(\d+)'\)$x$))[1]::bigint as upper_bound
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass and c.oid <> 'events_default'::regclass
        order by 2
    loop
        exit when part.upper_bound > (select last_value from events_id_seq);
        execute format('select at < $1 from %s order by id desc limit 1', part.name) into is_old using older_than;
        exit when not coalesce(is_old, true);
        exit when not exists (select from events where id >= part.upper_bound);
        execute format('drop table %s', part.name);
        dropped := dropped + 1;
    end loop;
    -- Events in the default partition, written when no partition existed for them.
    delete from events_default where at < older_than and id < (select max(id) from events);
    return dropped;
end $$;
