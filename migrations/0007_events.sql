-- The event log: everything that anyone can see change, in one order.
--
-- The order is the order of commits. A sequence alone would not give it: ids are
-- drawn before commit, so a reader that asks for "everything after 41" while the
-- writer of 40 is still open would never see 40. Whoever appends therefore holds
-- one lock from before the first id is drawn until after its commit is visible.
-- Any snapshot then contains a prefix of the log, whole.
--
-- Only triggers insert here. NOTIFY is a doorbell: it carries the last id and
-- nobody believes it; readers look at the table.
--
-- The log is kept in partitions, so that what is too old goes as a whole and
-- costs nothing. Housekeeping (0011) makes them ahead of time; what comes when it
-- did not lands in the last one, and nothing is lost.

create sequence events_id_seq;

create table events (
    id      bigint primary key default nextval('events_id_seq'),
    type    text        not null,
    -- Who hears it: the one user, if set; otherwise whoever is a member of the
    -- chat at this position of the log.
    chat_id bigint,
    user_id bigint,
    at      timestamptz not null default clock_timestamp(),
    -- The finished JSON object of the event, without its type and id, which the
    -- stream puts in front.
    data    json        not null,
    constraint events_audience check (chat_id is not null or user_id is not null)
) partition by range (id);

create table events_default partition of events default;

create index events_of_user on events (user_id, id) where user_id is not null;
create index events_of_chat on events (chat_id, id) where user_id is null;

-- Waits for the append lock and keeps it until the transaction ends. A write
-- transaction takes it first, so that its later statements see everything that
-- committed before them and rows are always locked in one order.
create function append_lock() returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(4861703374914);
end $$;

-- Every trigger that appends starts with append_lock() and ends with this.
create function notify_log() returns void language plpgsql as $$
begin
    -- Drawn under the append lock in this transaction: it is the last.
    perform pg_notify('events', currval('events_id_seq')::text);
end $$;
