-- Blocks between users.

create table blocks (
    blocker_id bigint      not null references users on delete cascade,
    blocked_id bigint      not null references users on delete cascade,
    created_at timestamptz not null default now(),
    primary key (blocker_id, blocked_id),
    constraint blocks_not_self check (blocker_id <> blocked_id)
);

create index blocks_blocked_id on blocks (blocked_id);

-- The users that a user has blocked.
create function blocked_by(blocker bigint) returns bigint[]
language sql stable parallel safe
return array(select b.blocked_id from blocks b where b.blocker_id = blocker);
