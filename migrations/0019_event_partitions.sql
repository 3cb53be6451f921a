-- Functions that create and drop partitions of the event log.

-- The first id that no partition holds and that the default partition does not hold.
create function next_event_partition() returns bigint language sql as $$
    select greatest(
        1,
        (select max((regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \('(\d+)'\)$x$))[1]::bigint)
         from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'events'::regclass),
        (select max(id) + 1 from events_default)
    )
$$;

-- Creates the partitions that the log will need: `ahead` partitions of `size` events
-- past the last event.
create function add_event_partitions(size bigint, ahead int) returns int language plpgsql as $$
declare
    bound          bigint;
    created_count  int := 0;
begin
    if not pg_try_advisory_xact_lock(4861703374917) then return 0; end if;
    if next_event_partition() > (select last_value from events_id_seq) + size * ahead then return 0; end if;
    -- Readers and writers queue behind an attach, which itself waits for a backup.
    perform set_config('lock_timeout', '1s', true);
    -- A statement that began to append before a partition existed puts its events into
    -- the default partition, so nobody may append while partitions are attached.
    perform append_lock();
    loop
        bound := next_event_partition();
        exit when bound > (select last_value from events_id_seq) + size * ahead;
        -- Create, then attach: creating a partition in place would block every reader.
        execute format('create table events_%s (like events including all)', bound);
        execute format('alter table events_%1$s add constraint bounds check (id >= %1$s and id < %2$s)', bound, bound + size);
        execute format('alter table events attach partition events_%1$s for values from (%1$s) to (%2$s)', bound, bound + size);
        execute format('alter table events_%s drop constraint bounds', bound);
        created_count := created_count + 1;
    end loop;
    return created_count;
exception when lock_not_available then
    -- The next round tries again. Until then the default partition takes the events.
    return 0;
end $$;

-- Drops the partitions whose last event is older than a time. The partition with the
-- last event stays, because positions continue from it.
create function drop_event_partitions(older_than timestamptz) returns int language plpgsql as $$
declare
    part    record;
    is_old  boolean;
    dropped int := 0;
begin
    -- All readers queue behind a waiting drop.
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
    -- Events that were written when no partition existed for them.
    delete from events_default where at < older_than and id < (select max(id) from events);
    return dropped;
end $$;
