-- Users who may not join a chat again, and the reason.

create table chat_bans (
    chat_id   bigint      not null references chats on delete cascade,
    user_id   bigint      not null references users on delete cascade,
    banned_by bigint      references users on delete set null,
    reason    text        not null default '',
    banned_at timestamptz not null default now(),
    primary key (chat_id, user_id),
    constraint chat_bans_reason_length check (char_length(reason) <= 250)
);

create index chat_bans_user_id on chat_bans (user_id);

-- Users who left a group or a private channel. Nobody can add them again; they come back
-- by an invite.
create table chat_departures (
    chat_id bigint      not null references chats on delete cascade,
    user_id bigint      not null references users on delete cascade,
    left_at timestamptz not null default now(),
    primary key (chat_id, user_id)
);

create index chat_departures_user_id on chat_departures (user_id);
