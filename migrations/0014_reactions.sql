-- Reactions to messages.

create table reactions (
    message_id bigint      not null references messages on delete cascade,
    emoji      text        not null,
    user_id    bigint      not null references users on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    primary key (message_id, emoji, user_id),
    constraint reactions_emoji_length check (char_length(emoji) between 1 and 32)
);

create index reactions_user_id on reactions (user_id, message_id);
