-- The outbox: a queue of HTTP requests to other servers.
--
-- A feed reads the event log after its own cursor. In one transaction it inserts what is to be
-- sent and moves the cursor, so each event enters the outbox exactly once. Senders then claim
-- lanes: they send, and record the outcome afterwards, so each entry is sent at least once.
-- Any number of processes can do both.

create table feeds (
    name        text        primary key,
    -- The last event that the feed has read, as the stream writes cursors.
    cursor      text        not null,
    advanced_at timestamptz not null default now()
);

-- A lane is a destination, to which one process sends at a time, in order.
create table outbox_lanes (
    id            bigint      generated always as identity primary key,
    -- When there is something to send; null while nothing waits.
    due_at        timestamptz,
    -- Nothing is sent before this time, because an attempt failed.
    paused_until  timestamptz,
    -- Until when a process owns the lane; each lease has another end.
    leased_until  timestamptz,
    -- The failures since the last success.
    failures      int         not null default 0,
    failing_since timestamptz
);

create index outbox_lanes_due_at on outbox_lanes (due_at) where due_at is not null;

create table outbox (
    id         bigint      generated always as identity primary key,
    lane_id    bigint      not null references outbox_lanes on delete cascade,
    -- The event of the log to send; null for an entry with data of its own.
    event_id   bigint,
    type       text        not null,
    data       json,
    state      text        not null default 'waiting',
    attempts   smallint    not null default 0,
    -- Not to be sent before this time. Waiting entries are sent in the order of (due_at, id).
    due_at     timestamptz not null default clock_timestamp(),
    created_at timestamptz not null default now(),
    -- When it was delivered or given up.
    settled_at timestamptz,
    -- The status of the last response, and why the last attempt failed.
    status     smallint,
    error      text,
    constraint outbox_source check ((event_id is null) = (data is not null)),
    constraint outbox_state check (state in ('waiting', 'delivered', 'dead')),
    constraint outbox_settled check ((state = 'waiting') = (settled_at is null)),
    constraint outbox_error_length check (char_length(error) <= 2000)
);

create index outbox_waiting on outbox (lane_id, due_at, id) where state = 'waiting';
create index outbox_lane_id on outbox (lane_id, id);
create index outbox_dead on outbox (lane_id, id) where state = 'dead';
create index outbox_settled_at on outbox (state, settled_at) where settled_at is not null;

-- Finds the membership changes of a user (`load_later_changes` and `load_membership_changes`).
create index events_memberships on events (user_id, id)
    where type in ('chat.new', 'chat.added', 'chat.removed', 'chat.deleted');

-- Marks the lanes of new entries as due, and wakes the senders.
-- Locks are taken in this order: the append lock, lanes by id, their endpoints, entries.
create function outbox_inserted() returns trigger language plpgsql as $$
begin
    perform from outbox_lanes where id in (select lane_id from new_rows) order by id for no key update;
    update outbox_lanes l set due_at = greatest(n.due_at, l.paused_until)
    from (select lane_id, min(due_at) as due_at from new_rows where state = 'waiting' group by lane_id) n
    where l.id = n.lane_id and (l.due_at is null or l.due_at > greatest(n.due_at, l.paused_until));
    if found then
        perform pg_notify('outbox', '');
    end if;
    return null;
end $$;

create trigger outbox_inserted after insert on outbox
    referencing new table as new_rows for each statement execute function outbox_inserted();
