-- Google Chat: a bridge to the spaces of a Chat app. A space is a lane like a remote user of WhatsApp
-- (0042). Its messages come from ghosts, one for each of its people who has written; the ghost of
-- the lane stands for the space, or in a direct message for the person.

alter table users
    drop constraint users_network,
    add constraint users_network
        check ((kind = 'ghost') = (network is not null) and network in ('whatsapp', 'google_chat'));

-- The settings of each network have an object of their own.
update bridges
set settings = (settings - 'phone_number_id' - 'business_account_id') || jsonb_build_object('whatsapp',
        jsonb_build_object('phone_number_id', settings -> 'phone_number_id',
                           'business_account_id', settings -> 'business_account_id'))
where network = 'whatsapp';

-- The key of the other side: of a remote user, or of a space.
alter table bridge_chats rename column remote_user_key to remote_key;

alter table bridge_chats
    -- Whether the other side is a space with several people.
    add column is_space boolean not null default false,
    -- From which time on the events of the space are relayed, and after which the next read begins;
    -- null if they are not read.
    add column events_start_at timestamptz,
    add column events_read_until timestamptz,
    -- When the last of them happened.
    add column events_last_at timestamptz,
    -- When they are to be read next, and how far the current read may take.
    add column events_due_at timestamptz,
    add column events_leased_until timestamptz,
    -- Until when they are not read, because Google asked to wait.
    add column events_paused_until timestamptz,
    -- Which events the network lets the bridge read: all, messages without reactions, or only what
    -- is addressed to the app.
    add column event_access text,
    add constraint bridge_chats_event_access check (event_access in ('everything', 'messages', 'mentions')),
    drop constraint bridge_chats_paused,
    add constraint bridge_chats_paused
        check (paused_reason in ('owner', 'too_many_messages', 'repeated_message', 'removed'));

create index bridge_chats_events_due_at on bridge_chats (events_due_at) where events_due_at is not null;
create index bridge_chats_reading on bridge_chats (bridge_id) where events_leased_until is not null;

-- The people of a space who have written or reacted. One who was removed from the chat stays here, so
-- that a ban holds.
create table bridge_ghosts (
    ghost_id        bigint not null primary key references users,
    bridge_chat_id  bigint not null references bridge_chats on delete cascade,
    remote_user_key text   not null,
    unique (bridge_chat_id, remote_user_key)
);

-- The thread of a message on the other network.
alter table bridge_messages add column remote_thread text;

create index bridge_messages_thread on bridge_messages (lane_id, remote_thread, message_id)
    where remote_thread is not null;

-- The public keys with which an issuer at Google signs tokens. The integration server fetches them; the
-- chat server verifies tokens with them.
create table google_keys (
    issuer       text        primary key,
    -- A JSON Web Key Set; null until it was fetched.
    keys         jsonb,
    fetched_at   timestamptz,
    -- When they are to be fetched next.
    due_at       timestamptz not null default now(),
    failures     int         not null default 0,
    -- When a token named a key that is not among them.
    requested_at timestamptz,
    -- Until when a bridge needs them.
    needed_until timestamptz not null
);

create index google_keys_due_at on google_keys (due_at);

-- The space of a listed event, and when it is to be processed again: until then, what follows from this
-- space waits too, and that of other spaces does not.
alter table bridge_inbox
    add column key text,
    add column retry_at timestamptz;

create index bridge_inbox_blocked on bridge_inbox (bridge_id, key) where done_at is null and retry_at is not null;

-- Finds the last messages that a bridge sent, and whether a chat is to be paused.
create index bridge_messages_sent on bridge_messages (lane_id, id) where not is_incoming and is_original and part = 0;

-- The owner sees new spaces at once.
create trigger bridge_profile_changed after update of profile on bridges
    for each row when (new.profile is distinct from old.profile and new.state = old.state)
    execute function bridge_state_changed();

create or replace view outbox_targets as
select e.id, e.user_id, e.event_types, e.chat_ids, e.starts_after, e.disabled_at is null as is_enabled
from webhook_endpoints e
union all
select c.id, c.ghost_id,
       case b.network
           when 'google_chat' then array['message.new', 'message.updated', 'message.deleted']
           else array['message.new', 'message.updated', 'reaction.added', 'reaction.removed', 'message.read']
       end,
       array[c.chat_id], c.starts_after, b.state <> 'disabled'
from bridge_chats c join bridges b on b.id = c.bridge_id;
