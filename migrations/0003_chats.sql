-- Chats and who is in them. A direct chat ('single') belongs to one pair of
-- people for ever, so the pair itself is stored, smaller id first, and unique.

create type chat_type as enum ('single', 'group', 'private_channel', 'public_channel');
create type member_role as enum ('owner', 'admin', 'member');

create table chats (
    id          bigint generated always as identity primary key,
    type        chat_type   not null,
    name        text        not null,
    description text        not null default '',
    topic       text        not null default '',
    created_by  bigint      references users on delete set null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    pair_low    bigint      references users on delete cascade,
    pair_high   bigint      references users on delete cascade,
    constraint chats_name_length check (char_length(name) between 0 and 100),
    constraint chats_named check (name <> '' or type in ('single', 'group')),
    constraint chats_description_length check (char_length(description) <= 1000),
    -- Messages older than this go; null keeps them, or as the server is set.
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

create table chat_members (
    chat_id   bigint      not null references chats on delete cascade,
    user_id   bigint      not null references users on delete cascade,
    role      member_role not null default 'member',
    joined_at timestamptz not null default now(),
    -- Messages up to here were said before they came, and are not news to them.
    joined_after_message_id bigint   not null default 0,
    -- Not so for one whom the other person of a direct chat has blocked.
    can_send  boolean     not null default true,
    -- Their own wish not to be disturbed.
    is_muted  boolean     not null default false,
    primary key (chat_id, user_id)
);

create index chat_members_user_id on chat_members (user_id, chat_id);
create index chat_members_owners on chat_members (chat_id) where role = 'owner';

-- What a member sees of a chat. `role` is the viewer's own, and null where one
-- text goes to many; the caller counts, once for all viewers.
create function chat_json(c chats, member_count bigint, role member_role) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select c.id, c.type, c.name, c.description, c.topic, c.retention_days, c.created_by,
               to_rfc3339(c.created_at) as created_at, to_rfc3339(c.updated_at) as updated_at,
               case when c.pair_low is not null then json_build_array(c.pair_low, c.pair_high) end as pair,
               member_count, role
    ) j
);

-- Who may not come back, and why.
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

-- A link that lets people in, until a time or for so many of them.
create table invites (
    code       text        primary key,
    chat_id    bigint      not null references chats on delete cascade,
    created_by bigint      references users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    max_uses   int,
    uses       int         not null default 0,
    constraint invites_max_uses check (max_uses > 0),
    constraint invites_uses check (uses between 0 and coalesce(max_uses, uses))
);

create index invites_chat_id on invites (chat_id);

create view active_invites as
select * from invites
where (expires_at is null or expires_at > now()) and (max_uses is null or uses < max_uses);

-- Who does not want to hear of whom.
create table blocks (
    blocker_id bigint      not null references users on delete cascade,
    blocked_id bigint      not null references users on delete cascade,
    created_at timestamptz not null default now(),
    primary key (blocker_id, blocked_id),
    constraint blocks_another check (blocker_id <> blocked_id)
);

create index blocks_blocked_id on blocks (blocked_id);

create function member_count(of_chat bigint) returns bigint
language sql stable parallel safe
return (select count(*) from chat_members m where m.chat_id = of_chat);
