-- Web Push: messages reach a device whose pages are closed. A device subscribes for its session, and the
-- subscription ends with the session.

-- The key with which this cluster signs requests to push services (VAPID). Browsers accept pushes only
-- from the key with which they subscribed.
create table push_keys (
    id          bigint      generated always as identity primary key,
    public_key  bytea       not null,
    -- Sealed.
    private_key bytea       not null,
    created_at  timestamptz not null default now()
);

create unique index push_keys_one on push_keys ((true));

create table push_subscriptions (
    session_id  uuid        primary key references sessions on delete cascade,
    user_id     bigint      not null references users on delete cascade,
    -- The URL at the push service; a secret of the device.
    endpoint    text        not null,
    -- The public key and the secret of the browser, which encrypt what only it can read.
    p256dh      bytea       not null,
    auth        bytea       not null,
    -- What a notification shows: everything, the sender, or only that there is something.
    preview     text        not null default 'full',
    created_at  timestamptz not null default now(),
    -- Since when all attempts have failed, and until when there are no others.
    failing_since timestamptz,
    paused_until  timestamptz,
    constraint push_subscriptions_preview check (preview in ('full', 'sender', 'none'))
);

create index push_subscriptions_user_id on push_subscriptions (user_id);

-- What is to be pushed to a device: at most one notification for each chat, about all that its user has
-- not read.
create table push_notifications (
    session_id   uuid        not null references push_subscriptions on delete cascade,
    chat_id      bigint      not null references chats on delete cascade,
    -- The first message that the notification is about.
    message_id   bigint      not null,
    is_urgent    boolean     not null,
    -- When it is to be sent; null if it was sent.
    due_at       timestamptz,
    leased_until timestamptz,
    -- Increases with each message, so that one that comes during an attempt is not lost.
    version      bigint      not null default 1,
    attempts     int         not null default 0,
    sent_at      timestamptz,
    primary key (session_id, chat_id)
);

create index push_notifications_due_at on push_notifications (due_at) where due_at is not null;
create index push_notifications_chat_id on push_notifications (chat_id);
create index push_notifications_leased on push_notifications (session_id, leased_until) where leased_until is not null;
