-- People. A username is what others type after "@"; an e-mail address is how
-- its owner signs in and nobody else ever sees it. Both are unique without
-- regard to case, by index: two sign-ups at the same instant cannot both win.

-- How every time is written on the wire: RFC 3339, UTC, microseconds.
create function to_rfc3339(t timestamptz) returns text
language sql stable parallel safe
return to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

create table users (
    id            bigint generated always as identity primary key,
    username      text        not null,
    display_name  text        not null,
    email         text        not null,
    password_hash text        not null,
    bio           text        not null default '',
    -- A picture that they uploaded themselves; files come in 0004.
    avatar_file_id bigint,
    created_at    timestamptz not null default now(),
    -- An account that was closed keeps its row, without anything personal, so
    -- that what was said stays where it was said.
    deleted_at    timestamptz,
    constraint users_username_form check (username ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{1,31}$'),
    constraint users_display_name_length check (char_length(display_name) between 1 and 64),
    constraint users_bio_length check (char_length(bio) <= 500),
    constraint users_email_length check (char_length(email) between 3 and 254)
);

create unique index users_username_key on users (lower(username) text_pattern_ops);
create unique index users_email_key on users (lower(email));
create index users_display_name on users (lower(display_name) text_pattern_ops);

-- What anyone may know of a person. The e-mail address is not in here.
create function user_json(u users) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select u.id, u.username, u.display_name, u.bio,
               '/api/files/' || u.avatar_file_id as avatar_url,
               to_rfc3339(u.created_at) as created_at, to_rfc3339(u.deleted_at) as deleted_at
    ) j
);
