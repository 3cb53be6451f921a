-- Chats. A direct chat ('single') belongs to one pair of users, so the pair is stored,
-- smaller id first, under a unique constraint.

create type chat_type as enum ('single', 'group', 'private_channel', 'public_channel');

create table chats (
    id          bigint generated always as identity primary key,
    type        chat_type   not null,
    name        text        not null,
    -- The words of the name, as the search compares them (0028).
    words       text        not null default '',
    description text        not null default '',
    topic       text        not null default '',
    created_by  bigint      references users on delete set null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    pair_low    bigint      references users on delete cascade,
    pair_high   bigint      references users on delete cascade,
    constraint chats_name_length check (char_length(name) between 0 and 100),
    constraint chats_name_required check (name <> '' or type in ('single', 'group')),
    constraint chats_description_length check (char_length(description) <= 1000),
    -- Messages older than this are deleted; null means the setting of the server.
    retention_days int,
    constraint chats_retention_days check (retention_days between 1 and 36500),
    constraint chats_topic_length check (char_length(topic) <= 250),
    constraint chats_pair check (
        case type
            when 'single' then pair_low is not null and pair_high is not null and pair_low < pair_high
            else pair_low is null and pair_high is null
        end
    )
);

create unique index chats_pair_key on chats (pair_low, pair_high);
create index chats_public on chats (lower(name) text_pattern_ops, id) where type = 'public_channel';

-- Deleting a chat deletes its row, its members and its markers under the append lock. Its
-- messages, which may be many, are deleted later, in batches and without the lock (0029):
-- nobody can read them, because every query of messages requires a member of their chat.
create table deleted_chats (
    chat_id    bigint primary key,
    deleted_at timestamptz not null default clock_timestamp()
);
