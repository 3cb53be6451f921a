-- The public channels that new users join by themselves. Operators choose them.
create table default_channels (
    chat_id  bigint      primary key references chats on delete cascade,
    added_at timestamptz not null default clock_timestamp()
);
