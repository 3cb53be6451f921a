-- The members of chats and their roles.

create type member_role as enum ('owner', 'admin', 'member');
create table chat_members (
    chat_id   bigint      not null references chats on delete cascade,
    user_id   bigint      not null references users on delete cascade,
    role      member_role not null default 'member',
    joined_at timestamptz not null default now(),
    -- Messages up to this one were sent before the user joined. They are not unread.
    joined_after_message_id bigint   not null default 0,
    -- False for a user whom the other member of a direct chat has blocked.
    can_send  boolean     not null default true,
    -- The member has turned off notifications.
    is_muted  boolean     not null default false,
    primary key (chat_id, user_id)
);

create index chat_members_user_id on chat_members (user_id, chat_id);
create index chat_members_owners on chat_members (chat_id) where role = 'owner';

-- The permissions of each role in each type of chat: a copy of the table in
-- chat_core/src/permissions.rs; a test compares the two. The copy lets events about
-- chats contain the permissions of their recipient.
create table role_permissions (
    chat_type   chat_type   not null,
    role        member_role not null,
    permissions text[]      not null,
    primary key (chat_type, role)
);

insert into role_permissions (chat_type, role, permissions) values
    ('single', 'member', '{pin}'),
    ('single', 'admin', '{pin}'),
    ('single', 'owner', '{pin}'),
    ('group', 'member', '{invite,pin,leave}'),
    ('group', 'admin', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,leave}'),
    ('group', 'owner', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,set_roles,set_retention,delete_chat,leave}'),
    ('private_channel', 'member', '{leave}'),
    ('private_channel', 'admin', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,leave}'),
    ('private_channel', 'owner', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,set_roles,set_retention,delete_chat,leave}'),
    ('public_channel', 'member', '{leave}'),
    ('public_channel', 'admin', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,leave}'),
    ('public_channel', 'owner', '{invite,edit_chat,pin,delete_others_messages,view_revisions,remove_members,set_roles,set_retention,delete_chat,leave}');

-- Returns the permissions of a role in a type of chat; null without a role.
create function permissions_of(of_type chat_type, of_role member_role) returns text[]
language sql stable parallel safe
return (select p.permissions from role_permissions p where p.chat_type = of_type and p.role = of_role);

-- A chat as a member sees it. `role` and `permissions` are the viewer's, and null in
-- an event with many recipients. The caller counts the members once for all viewers.
create function chat_json(c chats, member_count bigint, role member_role) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select c.id, c.type, c.name, c.description, c.topic, c.retention_days, c.created_by,
               to_rfc3339(c.created_at) as created_at, to_rfc3339(c.updated_at) as updated_at,
               case when c.pair_low is not null then json_build_array(c.pair_low, c.pair_high) end as pair,
               member_count, role, permissions_of(c.type, role) as permissions
    ) j
);

-- Counts members up to 10,000, which means "10,000 or more".
create function member_count(of_chat bigint) returns bigint
language sql stable parallel safe
return (select count(*) from (select from chat_members m where m.chat_id = of_chat limit 10000) members);
