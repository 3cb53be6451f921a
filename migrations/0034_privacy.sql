-- Everybody, or the users who share a chat with a user.

create type user_scope as enum ('everyone', 'contacts');

-- Who can add a user to groups and private channels without an invite.
alter table users add column group_privacy user_scope not null default 'everyone';

-- Whether two users have a chat in common.
create function share_a_chat(one bigint, other bigint) returns boolean
language sql stable parallel safe
return exists (
    select from chat_members a join chat_members b on b.chat_id = a.chat_id
    where a.user_id = one and b.user_id = other
);

-- The shapes of the usernames of deleted accounts, which nobody can take for a while: a
-- mention of the old account must not reach somebody else.
create table reserved_usernames (
    shape    text        primary key,
    until_at timestamptz not null
);

create function users_reject_reserved_name() returns trigger language plpgsql as $$
begin
    if exists (select from reserved_usernames r where r.shape = username_shape(new.username) and r.until_at > now()) then
        raise unique_violation using constraint = 'reserved_usernames', message = 'this username is reserved';
    end if;
    return new;
end $$;

create trigger users_reject_reserved_name before insert on users
for each row execute function users_reject_reserved_name();
