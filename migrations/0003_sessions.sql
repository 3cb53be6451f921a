-- A session is one signed-in device. Its refresh tokens form a family: each is used
-- once and replaced. The reuse of a token ends the session, because one of its two
-- users has a stolen copy. Only hashes are stored.

create table sessions (
    id         uuid        primary key,
    user_id    bigint      not null references users on delete cascade,
    user_agent text        not null default '',
    created_at timestamptz not null default now(),
    used_at    timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);

create index sessions_user_id on sessions (user_id);
create index sessions_expires_at on sessions (expires_at) where revoked_at is null;

create table refresh_tokens (
    hash       bytea       primary key,
    session_id uuid        not null references sessions on delete cascade,
    used_at    timestamptz
);

create index refresh_tokens_session_id on refresh_tokens (session_id);
