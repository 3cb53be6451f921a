-- Bots and webhooks (0037): users that programs control, each owned by a person; and API
-- tokens, with which programs act for a bot or for a person.

create type user_kind as enum ('person', 'bot', 'webhook');

alter table users
    add column kind     user_kind not null default 'person',
    -- The person who owns a bot or a webhook.
    add column owner_id bigint    references users on delete cascade,
    alter column email drop not null,
    alter column password_hash drop not null,
    add constraint users_owner check ((kind <> 'person') = (owner_id is not null)),
    -- Only a person can sign in.
    add constraint users_credentials check (
        case kind
            when 'person' then email is not null and password_hash is not null
            else email is null and password_hash is null
        end
    );

create index users_owner_id on users (owner_id) where owner_id is not null;

create or replace function user_json(u users) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select u.id, u.username, u.display_name, u.bio,
               '/api/files/' || u.avatar_file_id as avatar_url,
               to_rfc3339(u.created_at) as created_at, to_rfc3339(u.deleted_at) as deleted_at,
               u.kind
    ) j
);

-- An API token is a session that no device signed in to: revoking the session revokes the
-- token and closes the streams that it opened. Only the hash of the token is stored.
create table api_tokens (
    session_id     uuid    primary key references sessions on delete cascade,
    name           text    not null,
    hash           bytea   not null,
    last_four      text    not null,
    scopes         text[]  not null,
    -- The only chats that the token reads, and writes to; null means all chats of the user.
    chat_ids       bigint[],
    write_chat_ids bigint[],
    constraint api_tokens_name_length check (char_length(name) between 1 and 64),
    constraint api_tokens_scopes check (cardinality(scopes) > 0)
);

-- Whether a viewer sees the profile of a user without knowing the name: a deleted account,
-- one that is or was in a chat of the viewer or is banned from one, or a bot of the viewer, or
-- whom the viewer has blocked. An operator sees all.
create function is_visible_to(viewer bigint, of_user users) returns boolean
language sql stable parallel safe
return of_user.id = viewer
    or of_user.deleted_at is not null
    or of_user.owner_id is not distinct from viewer
    or exists (
        select from chat_members own join chat_members m on m.chat_id = own.chat_id and m.user_id = of_user.id
        where own.user_id = viewer
    )
    or exists (
        select from chat_departures m join chat_members own on own.chat_id = m.chat_id and own.user_id = viewer
        where m.user_id = of_user.id
    )
    or exists (
        select from chat_bans b join chat_members own on own.chat_id = b.chat_id and own.user_id = viewer
        where b.user_id = of_user.id
    )
    or exists (select from blocks b where b.blocker_id = viewer and b.blocked_id = of_user.id)
    or exists (select from users o where o.id = viewer and o.is_operator);
