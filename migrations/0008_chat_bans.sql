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
