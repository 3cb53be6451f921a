-- Incoming webhooks: URLs to which programs post messages, in the formats of other products.
-- Each webhook sends as a user of its own, which is a member of the chat: the webhook exists
-- while that user is a member, and like a bot (0036) it leaves with its owner.

create table webhooks (
    id         bigint      generated always as identity primary key,
    chat_id    bigint      not null,
    user_id    bigint      not null unique,
    -- Of the secret in the URL.
    token_hash bytea       not null,
    created_at timestamptz not null default now(),
    foreign key (chat_id, user_id) references chat_members on delete cascade
);

create index webhooks_chat_id on webhooks (chat_id);

-- What a message shows besides its text: `author` (the name that a webhook chose for this
-- message) and `embeds`. Null for nearly all messages.
alter table messages
    add column extra jsonb,
    add constraint messages_extra_size check (octet_length(extra::text) <= 262144) not valid;

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
                  coalesce(case when m.deleted_at is null then m.extra -> 'embeds' end, '[]'::jsonb) as embeds
       ) j) as json
from messages m;

-- As in 0026, with `extras`.
create function send_messages(
    chat_ids bigint[], sender_ids bigint[], contents text[], reply_to_ids bigint[], nonces text[], extras text[],
    file_messages int[], file_positions smallint[], file_ids bigint[],
    mention_messages int[], mention_names text[]
) returns table (message int, outcome text, id bigint, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
    written_count int;
begin
    -- Each later statement sees everything that was committed before this statement.
    perform append_lock();

    return query
    with input as materialized (
        select * from unnest(chat_ids, sender_ids, contents, reply_to_ids, nonces, extras)
            with ordinality as i (chat_id, sender_id, content, reply_to, nonce, extra, nth)
    ), attachments as materialized (
        select * from unnest(file_messages, file_positions, file_ids) as a (message, position, file_id)
    ), mention_lists as materialized (
        select message, array_agg(name) as names
        from unnest(mention_messages, mention_names) as a (message, name)
        group by message
    ), eligible as materialized (
        select i.nth::int - 1 as message, nextval('messages_id_seq') as id, clock_timestamp() as created_at, i.*,
               coalesce(c.user_ids, '{}') as mentions, coalesce(c.everyone, false) as mentions_everyone
        from input i
        join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id and m.can_send
        left join lateral (
            select x.* from mention_lists a cross join resolve_mentions(i.chat_id, i.sender_id, a.names) x where a.message = i.nth - 1
        ) c on true
        where (i.reply_to is null or exists (
                  select from messages r where r.chat_id = i.chat_id and r.id = i.reply_to))
          and not exists (
                  select from attachments a where a.message = i.nth - 1 and not exists (
                      select from files f where f.id = a.file_id and f.uploader_id = i.sender_id))
        order by i.nth
    ), inserted as (
        insert into messages (id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone, extra)
        overriding system value
        select id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone, extra::jsonb
        from eligible order by id
        on conflict (sender_id, chat_id, nonce) where nonce is not null do nothing
        returning id
    ), linked_files as (
        insert into message_files (message_id, position, file_id)
        select e.id, a.position, a.file_id
        from attachments a join eligible e on e.message = a.message join inserted n on n.id = e.id
    )
    select e.message, 'written', e.id, e.created_at from eligible e
    -- "is true" makes it a hashed lookup: the planner expects one row, so a join would
    -- be a nested loop.
    where (e.id in (select n.id from inserted n)) is true;

    get diagnostics written_count = row_count;
    if written_count = cardinality(chat_ids) then return; end if;

    -- The reason for each skipped message; for a written message the first outcome
    -- counts. A used nonce is checked last: an invalid message must get the same
    -- outcome whatever else the batch holds.
    return query
    select i.nth::int - 1,
           case when m.user_id is null then 'not_a_member'
                when not m.can_send then 'cannot_send'
                when i.reply_to is not null and reply_target.id is null then 'reply_not_found'
                when exists (
                    select from unnest(file_messages, file_ids) as a (message, file_id)
                    where a.message = i.nth - 1 and not exists (
                        select from files f where f.id = a.file_id and f.uploader_id = i.sender_id)
                ) then 'file_not_found'
                when original.id is not null then 'duplicate'
                -- The reply target is in this batch, so its id was unknown to the sender.
                else 'reply_not_found'
           end, original.id, original.created_at
    from unnest(chat_ids, sender_ids, reply_to_ids, nonces) with ordinality as i (chat_id, sender_id, reply_to, nonce, nth)
    left join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id
    left join messages original on original.sender_id = i.sender_id and original.chat_id = i.chat_id and original.nonce = i.nonce
    left join messages reply_target on reply_target.chat_id = i.chat_id and reply_target.id = i.reply_to;
end $$;

-- For servers of the version before, until they are stopped.
create or replace function send_messages(
    chat_ids bigint[], sender_ids bigint[], contents text[], reply_to_ids bigint[], nonces text[],
    file_messages int[], file_positions smallint[], file_ids bigint[],
    mention_messages int[], mention_names text[]
) returns table (message int, outcome text, id bigint, created_at timestamptz) language sql as $$
    select * from send_messages(chat_ids, sender_ids, contents, reply_to_ids, nonces, null::text[],
                                file_messages, file_positions, file_ids, mention_messages, mention_names);
$$;

-- As in 0033, and removes `extra`.
create or replace function erase_message(of_message bigint) returns boolean language plpgsql as $$
begin
    -- Done first, so that the rows below are deleted without events.
    update messages m
    set content = '', mentions = '{}', mentions_everyone = false, pinned_at = null, pinned_by = null,
        extra = null,
        deleted_at = clock_timestamp()
    where m.id = of_message and m.deleted_at is null;
    if not found then return false; end if;
    delete from reactions r where r.message_id = of_message;
    delete from message_edits e where e.message_id = of_message;
    delete from message_files mf where mf.message_id = of_message;
    return true;
end $$;

-- Replaces what a message shows besides its text, for its sender.
create function edit_extra(of_message bigint, actor bigint, new_extra jsonb) returns text language plpgsql as $$
declare
    access  message_access;
    rejection text;
begin
    perform append_lock();
    access := access_of(of_message, actor);
    rejection := find_rejection(access);
    if rejection is not null then return rejection; end if;
    if access.sender_id is distinct from actor then return 'not_the_author'; end if;
    if jsonb_array_length(new_extra -> 'embeds') = 0 and not exists (
        select from messages m where m.id = of_message and trim(m.content) <> ''
    ) and not exists (select from message_files mf where mf.message_id = of_message) then
        return 'empty';
    end if;
    update messages m set extra = new_extra, edited_at = clock_timestamp()
    where m.id = of_message and m.extra is distinct from new_extra;
    return 'done';
end $$;

-- Whether a user has blocked another, or the owner of a bot or a webhook.
create function is_blocked_by(blocker bigint, of_user bigint) returns boolean
language sql stable parallel safe
return exists (
    select from users u join blocks b on b.blocker_id = blocker and b.blocked_id in (u.id, u.owner_id)
    where u.id = of_user
);

-- As in 0013, but a block of the owner also counts for a bot and a webhook.
create or replace function resolve_mentions(of_chat bigint, by_user bigint, names text[])
returns table (user_ids bigint[], everyone boolean)
language sql stable rows 1
begin atomic
    select coalesce((
               select array_agg(m.user_id order by m.user_id)
               from users u join chat_members m on m.chat_id = of_chat and m.user_id = u.id
               where lower(u.username) = any (names) and u.id <> by_user and not is_blocked_by(u.id, by_user)
           ), '{}'),
           'everyone' = any (names) and exists (
               select from chat_members m
               where m.chat_id = of_chat and m.user_id = by_user and m.role in ('owner', 'admin')
           );
end;

-- As in 0027, but embeds suffice.
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
