-- A stream ticket opens one event stream, once, within 30 seconds.

create table stream_tickets (
    hash       bytea       primary key,
    user_id    bigint      not null references users on delete cascade,
    session_id uuid        not null references sessions on delete cascade,
    expires_at timestamptz not null
);

create index stream_tickets_expires_at on stream_tickets (expires_at);
