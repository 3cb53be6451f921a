-- Everybody, or the contacts of a user.

create type user_scope as enum ('everyone', 'contacts');

-- Who can add a user to groups and channels without an invite.
alter table users add column group_privacy user_scope not null default 'everyone';

-- Whether a user has agreed to a chat with another: both are in a group or a private channel,
-- or the user has written to the other. A direct chat alone, which the other can open, and a
-- public channel, which the other can join, do not count.
create function is_contact(of_user bigint, other bigint) returns boolean
language sql stable parallel safe
return exists (
    select from chat_members a
    join chat_members b on b.chat_id = a.chat_id and b.user_id = other
    join chats c on c.id = a.chat_id
    where a.user_id = of_user and (
        c.type in ('group', 'private_channel')
        or c.type = 'single' and exists (
            select from messages m where m.chat_id = c.id and m.sender_id = of_user
        )
    )
);

-- The shapes of the usernames of deleted accounts, which nobody can take for a while: a
-- mention of the old account must not reach somebody else.
create table reserved_usernames (
    shape    text        primary key,
    until_at timestamptz not null
);

-- Lets a deletion and sign-ups with the same name wait for each other.
create function lock_username(username text) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(username_shape(username), 4861703374918));
end $$;

create function users_reject_reserved_name() returns trigger language plpgsql as $$
begin
    perform lock_username(new.username);
    if exists (select from reserved_usernames r where r.shape = username_shape(new.username) and r.until_at > now()) then
        raise unique_violation using constraint = 'reserved_usernames', message = 'this username is reserved';
    end if;
    return new;
end $$;

create trigger users_reject_reserved_name before insert on users
for each row execute function users_reject_reserved_name();
