-- Bridges: chats whose other side is a conversation on another network, such as WhatsApp. The
-- remote user there is a ghost here: a user, owned by the owner of the bridge, who is a member of the
-- chat. Like a webhook (0037), a ghost is a member of one chat only and leaves with its owner.

alter table users
    -- The network of a ghost.
    add column network text,
    add constraint users_network check ((kind = 'ghost') = (network is not null) and network in ('whatsapp'));

-- Finds the ghosts that a deleted bridge left.
create index users_ghosts on users (id) where kind = 'ghost' and deleted_at is null;

create or replace function user_json(u users) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select u.id, u.username, u.display_name, u.bio,
               '/api/files/' || u.avatar_file_id as avatar_url,
               to_rfc3339(u.created_at) as created_at, to_rfc3339(u.deleted_at) as deleted_at,
               u.kind, u.network
    ) j
);

create table bridges (
    id                 bigint      generated always as identity primary key,
    owner_id           bigint      not null references users,
    network            text        not null,
    name               text        not null,
    -- What the owner chose, without secrets, and what the network told (both as the API shows them).
    settings           jsonb       not null,
    profile            jsonb,
    templates          jsonb       not null default '[]',
    -- The credentials, sealed.
    secrets            bytea       not null,
    state              text        not null default 'connecting',
    -- Why it is stopped or disabled.
    state_detail       text,
    state_changed_at   timestamptz not null default now(),
    -- When the account is to be checked next.
    check_due_at       timestamptz not null default now(),
    -- When received webhooks are to be processed; null while there are none.
    inbox_due_at       timestamptz,
    inbox_leased_until timestamptz,
    created_at         timestamptz not null default now(),
    constraint bridges_name_length check (char_length(name) between 1 and 64),
    constraint bridges_state check (state in ('connecting', 'connected', 'stopped', 'disabled')),
    constraint bridges_detail_length check (char_length(state_detail) <= 500)
);

create index bridges_owner_id on bridges (owner_id);
create index bridges_inbox_due_at on bridges (inbox_due_at) where inbox_due_at is not null;

-- A chat that a bridge connects to one remote user. It is a lane of the outbox (0038).
create table bridge_chats (
    id              bigint      primary key references outbox_lanes on delete cascade,
    bridge_id       bigint      not null references bridges on delete cascade,
    chat_id         bigint      not null,
    ghost_id        bigint      not null unique,
    -- The remote user: the key of the network, and the other addresses that it told.
    remote_user_key text        not null,
    phone           text,
    -- Only later events are sent.
    starts_after    bigint      not null,
    -- Until when the network accepts messages that are not templates; null before the first
    -- message of the remote user.
    window_until    timestamptz,
    -- Up to which message the remote user was told that their messages were read.
    read_message_id bigint,
    -- Why nothing is sent.
    paused_reason   text,
    -- When it was last made to send again: earlier messages do not pause it again.
    resumed_at      timestamptz,
    created_at      timestamptz not null default now(),
    unique (bridge_id, remote_user_key),
    unique (bridge_id, chat_id),
    constraint bridge_chats_paused check (paused_reason in ('owner', 'too_many_messages', 'repeated_message')),
    foreign key (chat_id, ghost_id) references chat_members on delete cascade
);

create index bridge_chats_chat_id on bridge_chats (chat_id);
create unique index bridge_chats_phone on bridge_chats (bridge_id, phone) where phone is not null;

-- The messages that a bridge relayed, in both directions. Rows of deleted lanes are deleted in
-- batches.
create table bridge_messages (
    id          bigint      generated always as identity primary key,
    lane_id     bigint      not null references outbox_lanes,
    message_id  bigint      not null references messages on delete cascade,
    is_incoming boolean     not null,
    -- The entry of the outbox that sends it, and the part, if it takes several messages there.
    delivery_id bigint,
    part        smallint    not null default 0,
    -- Whether it is the message itself, and not the notice of an edit.
    is_original boolean     not null default true,
    -- The id on the other network; null while it is unknown whether it was accepted.
    remote_id   text,
    state       text        not null,
    error       text,
    -- When it was received, or when the last attempt to send it began.
    at          timestamptz not null default clock_timestamp(),
    constraint bridge_messages_state check (state in ('received', 'sending', 'sent', 'delivered', 'read', 'failed')),
    constraint bridge_messages_error_length check (char_length(error) <= 500),
    constraint bridge_messages_direction check (is_incoming = (state = 'received') and is_incoming = (delivery_id is null))
);

create index bridge_messages_message_id on bridge_messages (message_id);
create index bridge_messages_lane_id on bridge_messages (lane_id, id);
create index bridge_messages_failed on bridge_messages (lane_id, id) where state = 'failed';
create unique index bridge_messages_delivery on bridge_messages (delivery_id, part) where delivery_id is not null;
-- Finds the message of a status, and one that arrives again.
create index bridge_messages_by_remote_id on bridge_messages (remote_id) where remote_id is not null;
create unique index bridge_messages_remote_id on bridge_messages (lane_id, remote_id) where remote_id is not null;

-- The webhooks that a network sent, as they arrived. A body is removed once it is processed; the
-- hash stays, so that a repeated webhook is recognized.
create table bridge_inbox (
    id          bigint      generated always as identity primary key,
    -- Not a foreign key: the rows of a deleted bridge are deleted in batches.
    bridge_id   bigint      not null,
    hash        bytea       not null,
    body        bytea,
    received_at timestamptz not null default now(),
    attempts    smallint    not null default 0,
    done_at     timestamptz,
    -- Why it could not be processed.
    error       text,
    unique (bridge_id, hash),
    constraint bridge_inbox_waiting check (done_at is not null or body is not null),
    constraint bridge_inbox_error_length check (char_length(error) <= 500)
);

create index bridge_inbox_waiting on bridge_inbox (bridge_id, id) where done_at is null;
create index bridge_inbox_failed on bridge_inbox (bridge_id) where error is not null and done_at is not null;
create index bridge_inbox_done_at on bridge_inbox (done_at) where done_at is not null;

-- Everything that the feed of the outbox serves: endpoints of webhooks and connected chats.
create view outbox_targets as
select e.id, e.user_id, e.event_types, e.chat_ids, e.starts_after, e.disabled_at is null as is_enabled
from webhook_endpoints e
union all
select c.id, c.ghost_id,
       array['message.new', 'message.updated', 'reaction.added', 'reaction.removed', 'message.read'], array[c.chat_id],
       c.starts_after, b.state <> 'disabled'
from bridge_chats c join bridges b on b.id = c.bridge_id;

-- How far a message got on the other network. It never goes back; only a message that has not
-- arrived can fail.
create function relay_rank(state text) returns int
language sql immutable parallel safe
return array_position(array['sending', 'sent', 'failed', 'delivered', 'read'], state);

-- The state of a message in one lane: that of the part that got least far.
create function relay_state(of_lane bigint, of_message bigint) returns text
language sql stable parallel safe
return (
    select case when bool_or(m.state = 'failed') then 'failed'
                else (array_agg(m.state order by relay_rank(m.state)))[1] end
    from bridge_messages m
    where m.lane_id = of_lane and m.message_id = of_message and not m.is_incoming and m.is_original
);

-- Tells the members of a chat how far a message got on the other network.
create function bridge_message_changed() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, chat_id, message_id, data)
    select 'message.relayed', m.chat_id, m.id, row_to_json(j)
    from messages m
    join bridge_chats c on c.id = new.lane_id
    join bridges b on b.id = c.bridge_id
    cross join lateral (
        select m.chat_id, to_rfc3339(clock_timestamp()) as at, m.id as message_id, b.id as bridge_id, b.network,
               relay_state(new.lane_id, m.id) as state, new.error
    ) j
    where m.id = new.message_id and m.deleted_at is null;
    if found then
        perform notify_log();
    end if;
    return null;
end $$;

create trigger bridge_message_sent after insert on bridge_messages
    for each row when (new.is_original and not new.is_incoming and new.state <> 'sending')
    execute function bridge_message_changed();
create trigger bridge_message_updated after update of state on bridge_messages
    for each row when (new.is_original and not new.is_incoming and new.state <> old.state and new.state <> 'sending')
    execute function bridge_message_changed();

-- Tells the owner that the state of a bridge or of one of its chats changed.
create function notify_bridge(of_bridge bigint) returns void language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, user_id, data)
    select 'bridge.updated', b.owner_id, row_to_json(j)
    from bridges b
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at, b.id as bridge_id, b.name, b.state, b.state_detail as detail
    ) j
    where b.id = of_bridge;
    perform notify_log();
end $$;

create function bridge_state_changed() returns trigger language plpgsql as $$
begin
    perform notify_bridge(new.id);
    return null;
end $$;

create trigger bridge_state_changed after update of state on bridges
    for each row when (new.state <> old.state) execute function bridge_state_changed();

create function bridge_chat_changed() returns trigger language plpgsql as $$
begin
    perform notify_bridge(new.bridge_id);
    return null;
end $$;

create trigger bridge_chat_inserted after insert on bridge_chats
    for each row execute function bridge_chat_changed();
create trigger bridge_chat_paused after update of paused_reason on bridge_chats
    for each row when (new.paused_reason is distinct from old.paused_reason) execute function bridge_chat_changed();
