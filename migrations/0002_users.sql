-- Users. Others mention a user by the username, after "@". The email address is for
-- signing in and is never shown to other users. Both are unique without regard to
-- case, by index: of two concurrent sign-ups only one succeeds.

create table users (
    id            bigint generated always as identity primary key,
    username      text        not null,
    display_name  text        not null,
    email         text        not null,
    password_hash text        not null,
    -- The words of both names, as the search compares them (0028).
    words         text        not null default '',
    bio           text        not null default '',
    -- An image that the user uploaded; 0005 creates the table of files.
    avatar_file_id bigint,
    created_at    timestamptz not null default now(),
    -- A deleted account keeps its row without personal data, so that its messages
    -- stay in their chats.
    deleted_at    timestamptz,
    constraint users_username_format check (username ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,30}[A-Za-z0-9]$'),
    constraint users_display_name_length check (char_length(display_name) between 1 and 64),
    constraint users_bio_length check (char_length(bio) <= 500),
    constraint users_email_length check (char_length(email) between 3 and 254)
);

create unique index users_username_key on users (lower(username) text_pattern_ops);

-- The shape of a username: names that look the same, such as "alice", "aIice" and "al.ice",
-- have one shape, and only one of them can be taken.
create function username_shape(username text) returns text
language sql immutable parallel safe
return replace(replace(translate(lower(username), 'i10._-', 'llo'), 'rn', 'm'), 'vv', 'w');

create unique index users_username_shape_key on users (username_shape(username));
create unique index users_email_key on users (lower(email));

-- The public profile of a user. The email address is not part of it.
create function user_json(u users) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select u.id, u.username, u.display_name, u.bio,
               '/api/files/' || u.avatar_file_id as avatar_url,
               to_rfc3339(u.created_at) as created_at, to_rfc3339(u.deleted_at) as deleted_at
    ) j
);
