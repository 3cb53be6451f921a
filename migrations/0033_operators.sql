-- Operators: users who moderate the whole server. An account that an operator has
-- suspended, or has not approved yet, cannot sign in.

create type account_state as enum ('active', 'pending', 'suspended');

alter table users
    add column state       account_state not null default 'active',
    add column is_operator boolean       not null default false,
    -- The code of an invite that the user accepts once the account is approved.
    add column pending_invite text;

create index users_state on users (state, id) where state <> 'active';
create index users_email_prefix on users (lower(email) text_pattern_ops);

-- The first account of an empty database becomes its operator. While there are no users,
-- sign-ups wait for each other, so that only one is the first.
create function users_appoint_operator() returns trigger language plpgsql as $$
begin
    if not exists (select from users) then
        perform pg_advisory_xact_lock(4861703374917);
        new.is_operator := not exists (select from users);
        -- Nobody else could approve it.
        if new.is_operator then new.state := 'active'; end if;
    end if;
    return new;
end $$;

create trigger users_appoint_operator before insert on users
for each row execute function users_appoint_operator();

-- The audit log: sign-ins and their failures, changes of roles, bans and accounts, refused
-- requests and exports. The ids have no foreign keys, because an entry stays when its
-- subject is deleted.
create table audit_log (
    id         bigint      generated always as identity primary key,
    at         timestamptz not null default now(),
    action     text        not null,
    -- Who acted; null for the server, for its command line, and for a client without a session.
    actor_id   bigint,
    -- The user whom the action concerns, if it is another one than the actor.
    user_id    bigint,
    chat_id    bigint,
    message_id bigint,
    -- The address of the client; an IPv6 address is the first of its /64 network.
    address    inet,
    user_agent text        not null default '',
    detail     text        not null default '',
    constraint audit_log_detail_length check (char_length(detail) <= 1000)
);

create index audit_log_at on audit_log (at);
create index audit_log_action on audit_log (action, id);
create index audit_log_actor_id on audit_log (actor_id, id);
create index audit_log_user_id on audit_log (user_id, id);

-- Entries never change, and stay for at least 90 days.
create function audit_log_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.at < now() - interval '90 days' then
        return old;
    end if;
    raise exception 'the audit log is append-only';
end $$;

create trigger audit_log_append_only before update or delete on audit_log
for each row execute function audit_log_append_only();

create trigger audit_log_no_truncate before truncate on audit_log
for each statement execute function audit_log_append_only();

create function current_actor() returns bigint
language sql stable
return nullif(current_setting('confab.actor', true), '')::bigint;

create function chat_members_audit() returns trigger language plpgsql as $$
begin
    insert into audit_log (action, actor_id, user_id, chat_id, detail)
    values ('role_changed', current_actor(), new.user_id, new.chat_id, old.role || ' to ' || new.role);
    return null;
end $$;

create trigger chat_members_audit after update of role on chat_members
for each row when (old.role <> new.role) execute function chat_members_audit();

create function chat_bans_audit() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into audit_log (action, actor_id, user_id, chat_id, detail)
        values ('banned', current_actor(), new.user_id, new.chat_id, new.reason);
    -- Not if the whole chat or account was deleted.
    elsif exists (select from chats c where c.id = old.chat_id)
          and exists (select from users u where u.id = old.user_id and u.deleted_at is null) then
        insert into audit_log (action, actor_id, user_id, chat_id)
        values ('unbanned', current_actor(), old.user_id, old.chat_id);
    end if;
    return null;
end $$;

create trigger chat_bans_audit after insert or delete on chat_bans
for each row execute function chat_bans_audit();

-- Deletes the content of a message, unless it was deleted already; returns whether this
-- call did. The row stays; reactions, revisions and attachments are deleted.
create function erase_message(of_message bigint) returns boolean language plpgsql as $$
begin
    -- Done first, so that the rows below are deleted without events.
    update messages m
    set content = '', mentions = '{}', mentions_everyone = false, pinned_at = null, pinned_by = null,
        deleted_at = clock_timestamp()
    where m.id = of_message and m.deleted_at is null;
    if not found then return false; end if;
    delete from reactions r where r.message_id = of_message;
    delete from message_edits e where e.message_id = of_message;
    delete from message_files mf where mf.message_id = of_message;
    return true;
end $$;

-- Deletes a message for its sender, or for a role with the permission.
create or replace function delete_message(of_message bigint, actor bigint, minimum member_role)
returns text language plpgsql as $$
declare
    access message_access;
begin
    perform append_lock();
    access := access_of(of_message, actor);
    if access.chat_id is null then return 'not_found'; end if;
    if access.sender_id is distinct from actor and (minimum is null or access.role > minimum) then
        return 'forbidden';
    end if;
    if not access.is_deleted then perform erase_message(of_message); end if;
    return 'done';
end $$;
