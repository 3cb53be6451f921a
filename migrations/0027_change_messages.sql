-- Changes to one message, and read markers: one call and one round trip each, so that
-- the append lock is never held during a client's round trips. Each function takes the
-- lock first, then checks, then writes, and returns its outcome as text. `minimum` is
-- the lowest role with the permission in this type of chat, from
-- chat_core/src/permissions.rs.

create type message_access as (
    chat_id bigint, sender_id bigint, is_deleted boolean, can_send boolean, role member_role, type chat_type
);

-- A message and the membership of one user in its chat; null if the user is not a
-- member.
create function access_of(of_message bigint, actor bigint) returns message_access
language sql stable
begin atomic
    select m.chat_id, m.sender_id, m.deleted_at is not null, own.can_send, own.role, c.type
    from messages m
    join chat_members own on own.chat_id = m.chat_id and own.user_id = actor
    join chats c on c.id = m.chat_id
    where m.id = of_message;
end;

-- The reason why a message cannot be changed; null if it can.
create function find_rejection(access message_access) returns text language sql immutable
return case when access.chat_id is null then 'not_found'
            when access.is_deleted then 'deleted'
            when not access.can_send then 'cannot_send' end;

create function add_reaction(to_message bigint, actor bigint, with_emoji text, max_emoji int)
returns text language plpgsql as $$
declare
    access  message_access;
    rejection text;
begin
    perform append_lock();
    access := access_of(to_message, actor);
    rejection := find_rejection(access);
    if rejection is not null then return rejection; end if;
    if (select count(distinct r.emoji) from reactions r
        where r.message_id = to_message and r.emoji <> with_emoji) >= max_emoji then
        return 'too_many';
    end if;
    insert into reactions (message_id, emoji, user_id) values (to_message, with_emoji, actor) on conflict do nothing;
    return 'done';
end $$;

create function remove_reaction(from_message bigint, actor bigint, with_emoji text)
returns text language plpgsql as $$
declare
    access  message_access;
    rejection text;
begin
    perform append_lock();
    access := access_of(from_message, actor);
    rejection := find_rejection(access);
    if rejection is not null then return rejection; end if;
    delete from reactions r where r.message_id = from_message and r.emoji = with_emoji and r.user_id = actor;
    return 'done';
end $$;

create function set_pinned(of_message bigint, actor bigint, minimum member_role, is_pinned boolean, max_pins int)
returns text language plpgsql as $$
declare
    access  message_access;
    rejection text;
begin
    perform append_lock();
    perform set_config('confab.actor', actor::text, true);
    access := access_of(of_message, actor);
    if access.chat_id is null then return 'not_found'; end if;
    -- Roles are ordered from owner to member.
    if minimum is null or access.role > minimum then return 'forbidden'; end if;
    rejection := find_rejection(access);
    if rejection is not null then return rejection; end if;
    if is_pinned and (select count(*) from messages m
                      where m.chat_id = access.chat_id and m.pinned_at is not null and m.id <> of_message) >= max_pins then
        return 'too_many';
    end if;
    update messages m
    set pinned_at = case when is_pinned then clock_timestamp() end, pinned_by = case when is_pinned then actor end
    where m.id = of_message and (m.pinned_at is not null) <> is_pinned;
    return 'done';
end $$;

-- Edits a message and keeps the replaced text, up to `max_revisions` revisions. An
-- identical text changes nothing.
create function edit_message(of_message bigint, actor bigint, new_content text, names text[], max_revisions int)
returns text language plpgsql as $$
declare
    access  message_access;
    rejection text;
begin
    perform append_lock();
    access := access_of(of_message, actor);
    if access.chat_id is null then return 'not_found'; end if;
    if access.sender_id is distinct from actor then return 'not_the_author'; end if;
    rejection := find_rejection(access);
    if rejection is not null then return rejection; end if;
    if trim(new_content) = '' and not exists (select from message_files mf where mf.message_id = of_message) then
        return 'empty';
    end if;
    insert into message_edits (message_id, content)
    select m.id, m.content from messages m where m.id = of_message and m.content <> new_content;
    if not found then return 'done'; end if;
    update messages m
    set content = new_content, edited_at = clock_timestamp(),
        mentions = resolved.user_ids, mentions_everyone = resolved.everyone
    from resolve_mentions(access.chat_id, actor, names) resolved
    where m.id = of_message;
    delete from message_edits e where e.message_id = of_message and e.edited_at < (
        select x.edited_at from message_edits x
        where x.message_id = of_message order by x.edited_at desc offset max_revisions - 1 limit 1
    );
    return 'done';
end $$;

-- Deletes a message for its sender, or for a role with the permission. The row stays,
-- without its content; reactions, revisions and attachments are deleted.
create function delete_message(of_message bigint, actor bigint, minimum member_role)
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
    if access.is_deleted then return 'done'; end if;
    -- Done first, so that the rows below are deleted without events.
    update messages m
    set content = '', mentions = '{}', mentions_everyone = false, pinned_at = null, pinned_by = null,
        deleted_at = clock_timestamp()
    where m.id = of_message;
    delete from reactions r where r.message_id = of_message;
    delete from message_edits e where e.message_id = of_message;
    delete from message_files mf where mf.message_id = of_message;
    return 'done';
end $$;

-- Moves a marker forward and returns its position; a marker never moves back. Channels
-- do not track delivery; for them the requested marker is returned.
create function advance_marker(of_chat bigint, reader bigint, of_kind receipt_kind, to_message bigint)
returns table (outcome text, message_id bigint, at timestamptz) language plpgsql as $$
#variable_conflict use_column
declare
    of_type chat_type;
begin
    perform append_lock();
    select c.type into of_type
    from chat_members m join chats c on c.id = m.chat_id
    where m.chat_id = of_chat and m.user_id = reader;
    if of_type is null then
        return query select 'not_a_member', null::bigint, null::timestamptz;
        return;
    end if;
    if not exists (select from messages m where m.chat_id = of_chat and m.id = to_message) then
        return query select 'message_not_found', null::bigint, null::timestamptz;
        return;
    end if;
    if of_kind = 'delivered' and of_type not in ('single', 'group') then
        return query select 'done', to_message, clock_timestamp();
        return;
    end if;
    insert into receipts (chat_id, user_id, kind, message_id)
    select of_chat, reader, of_kind, to_message
    where not exists (
        select from receipts r
        where r.chat_id = of_chat and r.user_id = reader and r.kind = of_kind and r.message_id >= to_message
    );
    return query
        select 'done', r.message_id, r.at from receipts r
        where r.chat_id = of_chat and r.user_id = reader and r.kind = of_kind
        order by r.message_id desc limit 1;
end $$;
