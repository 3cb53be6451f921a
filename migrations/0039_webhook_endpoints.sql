-- Outgoing webhooks: URLs of other servers, to which the events of a user's chats are sent.
-- Each endpoint is a lane of the outbox (0038). After an endpoint is deleted, its entries are
-- deleted in batches, then its lane.

create table webhook_endpoints (
    id              bigint      primary key references outbox_lanes on delete cascade,
    -- Whose events are sent: a person or a bot.
    user_id         bigint      not null references users,
    url             text        not null,
    description     text        not null default '',
    -- The only types and the only chats whose events are sent; null means all.
    event_types     text[],
    chat_ids        bigint[],
    -- Sealed. After a rotation the previous secret signs too, until `previous_until`.
    secret          bytea       not null,
    previous_secret bytea,
    previous_until  timestamptz,
    -- Only later events are sent.
    starts_after    bigint      not null,
    created_at      timestamptz not null default now(),
    disabled_at     timestamptz,
    disabled_reason text,
    constraint webhook_endpoints_url_length check (char_length(url) between 1 and 2000),
    constraint webhook_endpoints_description_length check (char_length(description) <= 200),
    constraint webhook_endpoints_disabled check (
        (disabled_at is null) = (disabled_reason is null)
        and disabled_reason in ('owner', 'failing', 'gone', 'backlog', 'sessions_ended')
    ),
    constraint webhook_endpoints_previous check ((previous_secret is null) = (previous_until is null))
);

create index webhook_endpoints_user_id on webhook_endpoints (user_id);

-- Tells the owner that the server disabled an endpoint.
create function webhook_endpoint_disabled() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, user_id, data)
    select 'webhook_endpoint.disabled', coalesce(u.owner_id, u.id), row_to_json(j)
    from users u
    cross join lateral (
        select to_rfc3339(clock_timestamp()) as at, new.id as endpoint_id, new.url, new.disabled_reason as reason
    ) j
    where u.id = new.user_id;
    perform notify_log();
    return null;
end $$;

create trigger webhook_endpoint_disabled after update of disabled_at on webhook_endpoints
    for each row when (old.disabled_at is null and new.disabled_reason <> 'owner')
    execute function webhook_endpoint_disabled();
