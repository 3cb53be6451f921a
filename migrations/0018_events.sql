-- The event log: every change that users can see, in one order.
--
-- The order is the order of commits. A sequence alone would not ensure this order: ids
-- are drawn before the commit, so a reader that asks for all events after 41 while the
-- transaction of event 40 is open would never see 40. A writer therefore holds one lock
-- from before its first id is drawn until its commit is visible. Any snapshot then
-- contains a complete prefix of the log.
--
-- Only triggers insert here. NOTIFY carries the last id and is only a hint; readers read
-- the table.
--
-- The log is partitioned, so that old events are dropped with their partition at no
-- cost. Housekeeping (0019) creates partitions ahead of time; events without a partition
-- are stored in the default partition, so no event is lost.

create sequence events_id_seq;

create table events (
    id      bigint primary key default nextval('events_id_seq'),
    type    text        not null,
    -- The audience: this user, if set; otherwise the members of the chat at this
    -- position of the log. The members of any of `chat_ids` receive the event too.
    chat_id bigint,
    user_id bigint,
    chat_ids bigint[],
    at      timestamptz not null default clock_timestamp(),
    -- The message that the event is about, if there is one.
    message_id bigint,
    -- The complete JSON object of the event, without its type and id, which the
    -- stream adds.
    data    json        not null,
    constraint events_audience check (chat_id is not null or user_id is not null)
) partition by range (id);

create table events_default partition of events default;

create index events_user_id on events (user_id, id) where user_id is not null;
create index events_chat_id on events (chat_id, id) where user_id is null;
create index events_shared on events (id) where chat_ids is not null;

-- Takes the append lock until the transaction ends. A write transaction takes it
-- first, so that its later statements see everything that committed before them, and
-- rows are always locked in one order.
create function append_lock() returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(4861703374914);
end $$;

-- Every trigger that appends begins with append_lock() and ends with this function.
create function notify_log() returns void language plpgsql as $$
begin
    -- Drawn under the append lock in this transaction, so it is the last id.
    perform pg_notify('events', currval('events_id_seq')::text);
end $$;
