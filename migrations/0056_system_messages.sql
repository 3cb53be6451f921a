-- System messages: what changed in a chat, as messages in its history. They are written by the transaction that makes the
-- change, are read like others, and neither count as unread nor notify anybody.

-- What changed: an object with `type` and the fields of the type (chat_core/src/messages/system.rs); null for what users
-- write.
alter table messages
    add column change jsonb,
    add constraint messages_change_size check (octet_length(change::text) <= 8192) not valid;

create or replace view message_view as
select m.id, m.chat_id, m.sender_id, m.nonce, m.reply_to,
       (select row_to_json(j) from (
           select m.id, m.chat_id, m.sender_id,
                  case when m.deleted_at is null then m.content else '' end as content,
                  coalesce((
                      select json_agg(file_json(f) order by mf.position)
                      from message_files mf join files f on f.id = mf.file_id
                      where mf.message_id = m.id and m.deleted_at is null
                  ), '[]'::json) as files,
                  m.reply_to, m.nonce,
                  to_rfc3339(m.created_at) as created_at,
                  to_rfc3339(m.edited_at) as edited_at,
                  to_rfc3339(m.deleted_at) as deleted_at,
                  m.mentions, m.mentions_everyone,
                  coalesce((
                      select json_agg(json_build_object('emoji', r.emoji, 'count', r.count, 'me', null) order by r.since, r.emoji)
                      from (
                          select x.emoji, count(*) as count, min(x.created_at) as since
                          from reactions x where x.message_id = m.id group by x.emoji
                      ) r
                  ), '[]'::json) as reactions,
                  m.pinned_at is not null as pinned,
                  case when m.deleted_at is null then m.extra -> 'author' end as author,
                  coalesce(case when m.deleted_at is null then m.extra -> 'embeds' end, '[]'::jsonb) as embeds,
                  case when m.change is null then 'user' else 'system' end as kind,
                  case when m.deleted_at is null then m.change end as change
       ) j) as json
from messages m;

-- Appends a system message, unless its sender has made many changes of the chat lately: who joins and leaves, or pins and
-- unpins, again and again fills no history. The caller holds the append lock.
create function append_system_message(of_chat bigint, actor bigint, change jsonb, max_recent int, recent_seconds float8)
returns void language sql as $$
    insert into messages (chat_id, sender_id, content, change)
    select of_chat, actor, '', change
    where (
        select count(*) from (
            select from (
                select s.sender_id, s.created_at from messages s
                where s.chat_id = of_chat and s.change is not null
                -- Bounds the changes of others that are read.
                order by s.id desc limit 200
            ) newest
            where newest.sender_id = actor and newest.created_at > clock_timestamp() - make_interval(secs => recent_seconds)
            limit max_recent
        ) recent
    ) < max_recent;
$$;

create function is_system_message(of_message bigint) returns boolean
language sql stable
return exists (select from messages m where m.id = of_message and m.change is not null);

-- As in 0027; nobody pins a system message, and one tells what was pinned. The function of 0027 stays for servers of the
-- version before.
create function set_pinned(of_message bigint, actor bigint, minimum member_role, is_pinned boolean, max_pins int,
                           max_system int, system_seconds float8)
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
    if is_system_message(of_message) then return 'system_message'; end if;
    if is_pinned and (select count(*) from messages m
                      where m.chat_id = access.chat_id and m.pinned_at is not null and m.id <> of_message) >= max_pins then
        return 'too_many';
    end if;
    update messages m
    set pinned_at = case when is_pinned then clock_timestamp() end, pinned_by = case when is_pinned then actor end
    where m.id = of_message and (m.pinned_at is not null) <> is_pinned;
    if found and is_pinned then
        perform append_system_message(access.chat_id, actor, jsonb_build_object('type', 'pinned', 'message_id', of_message),
                                      max_system, system_seconds);
    end if;
    return 'done';
end $$;

-- As in 0037; nobody edits a system message.
create or replace function edit_message(of_message bigint, actor bigint, new_content text, names text[], max_revisions int)
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
    if is_system_message(of_message) then return 'system_message'; end if;
    if trim(new_content) = '' and not exists (select from message_files mf where mf.message_id = of_message)
       and not exists (
           select from messages m where m.id = of_message and jsonb_array_length(coalesce(m.extra -> 'embeds', '[]')) > 0
       ) then
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

-- As in 0023. The event of a deletion contains the kind: system messages do not count as unread.
create or replace function messages_updated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    ) then return null; end if;
    perform append_lock();
    delete from mentions x using new_rows n where x.message_id = n.id;
    insert into mentions (chat_id, message_id, user_id, sender_id)
    select n.chat_id, n.id, mentioned_user_id, n.sender_id
    from new_rows n
    cross join unnest(case when n.mentions_everyone then n.mentions || null::bigint else n.mentions end) mentioned_user_id
    where n.deleted_at is null;
    insert into events (type, chat_id, message_id, data)
    select case when n.deleted_at is null then 'message.updated' else 'message.deleted' end,
           n.chat_id, n.id,
           case when n.deleted_at is null then row_to_json(updated) else row_to_json(deleted) end
    from new_rows n
    join old_rows o using (id)
    join message_view m using (id)
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, m.json as message,
               o.mentions as mentions_before, o.mentions_everyone as mentions_everyone_before
    ) updated
    cross join lateral (
        select n.chat_id, to_rfc3339(clock_timestamp()) as at, n.id as message_id, n.sender_id,
               to_rfc3339(n.deleted_at) as deleted_at,
               case when n.change is null then 'user' else 'system' end as kind,
               o.mentions as mentions_before, o.mentions_everyone as mentions_everyone_before
    ) deleted
    where (n.content, n.edited_at, n.deleted_at) is distinct from (o.content, o.edited_at, o.deleted_at)
    order by n.id;
    perform notify_log();
    return null;
end $$;
