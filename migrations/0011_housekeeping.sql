-- What is done now and then, by whichever process comes first.

-- Makes the partitions that the log will need: each for so many events, so many
-- of them ahead of the last one.
create function add_event_partitions(size bigint, ahead int) returns int language plpgsql as $$
declare
    last  bigint := (select last_value from events_id_seq);
    -- Where the last one ends, or what lies in the rest of the log.
    edge  bigint := greatest(
        1,
        (select max((regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \('(\d+)'\)$x$))[1]::bigint)
         from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'events'::regclass),
        (select max(id) + 1 from events_default)
    );
    made  int := 0;
begin
    if not pg_try_advisory_xact_lock(4861703374917) then return 0; end if;
    while edge <= last + size * ahead loop
        -- Attached and not made in place: that would stop every reader.
        execute format('create table events_%s (like events including all)', edge);
        execute format('alter table events_%1$s add constraint bounds check (id >= %1$s and id < %2$s)', edge, edge + size);
        execute format('alter table events attach partition events_%1$s for values from (%1$s) to (%2$s)', edge, edge + size);
        execute format('alter table events_%s drop constraint bounds', edge);
        edge := edge + size;
        made := made + 1;
    end loop;
    return made;
end $$;

-- Drops the partitions whose last event is older than this. The one with the last
-- event of all stays: positions go on from there.
create function drop_event_partitions(older_than timestamptz) returns int language plpgsql as $$
declare
    part    record;
    is_old  boolean;
    dropped int := 0;
begin
    -- Everybody waits behind a drop that waits.
    perform set_config('lock_timeout', '1s', true);
    for part in
        select c.oid::regclass as name, (regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \('(\d+)'\)$x$))[1]::bigint as upto
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass and c.oid <> 'events_default'::regclass
        order by 2
    loop
        exit when part.upto > (select last_value from events_id_seq);
        execute format('select at < $1 from %s order by id desc limit 1', part.name) into is_old using older_than;
        exit when not coalesce(is_old, true);
        exit when not exists (select from events where id >= part.upto);
        execute format('drop table %s', part.name);
        dropped := dropped + 1;
    end loop;
    -- What came when there was no partition for it.
    delete from events_default where at < older_than and id < (select max(id) from events);
    return dropped;
end $$;

-- Takes away messages that have outlived their chat's retention, or the server's
-- where the chat has none: at most so many, oldest first. Answers how many.
create function expire_messages(server_days int, at_most int) returns int language plpgsql as $$
declare
    taken int;
begin
    perform append_lock();
    with cutoffs as (
        select c.id as chat_id, now() - make_interval(days => coalesce(c.retention_days, server_days)) as older_than
        from chats c
        where coalesce(c.retention_days, server_days) is not null
    ), old as (
        select m.id from cutoffs o
        -- Cut before it is compared: a chat in which little is old is not read to
        -- its end.
        cross join lateral (
            select m.id, m.created_at from messages m where m.chat_id = o.chat_id order by m.id limit at_most
        ) m
        where m.created_at < o.older_than
        order by m.id limit at_most
    )
    delete from messages m using old where m.id = old.id;
    get diagnostics taken = row_count;
    return taken;
end $$;
