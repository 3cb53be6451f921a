-- The inbox of a user: mentions, replies to the user's messages, reactions to them, and chats to which others
-- added the user. Only triggers write items. An item is deleted with what it is about.

create table inbox_items (
    id         bigint      generated always as identity primary key,
    -- Null for the members of the chat: the message mentions everyone.
    user_id    bigint      references users on delete cascade,
    kind       text        not null,
    chat_id    bigint      not null,
    -- Null if the user was added to the chat.
    message_id bigint      references messages on delete cascade,
    -- Who wrote, reacted or added the user.
    actor_id   bigint,
    emoji      text,
    created_at timestamptz not null default clock_timestamp(),
    constraint inbox_items_kind check (kind in ('mention', 'reply', 'reaction', 'added')),
    constraint inbox_items_message check ((kind = 'added') = (message_id is null)),
    constraint inbox_items_emoji check ((kind = 'reaction') = (emoji is not null)),
    constraint inbox_items_audience check (user_id is not null or kind = 'mention')
);

create index inbox_items_user_id on inbox_items (user_id, id) where user_id is not null;
create index inbox_items_chat_id on inbox_items (chat_id, id) where user_id is null;
create index inbox_items_message_id on inbox_items (message_id) where message_id is not null;
create index inbox_items_created_at on inbox_items (created_at);

-- How far users have seen their inboxes.
create table inbox_marks (
    user_id bigint primary key references users on delete cascade,
    item_id bigint not null
);

create function inbox_mark(of_user bigint) returns bigint
language sql stable parallel safe
return coalesce((select m.item_id from inbox_marks m where m.user_id = of_user), 0);

create function inbox_item_json(i inbox_items) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select i.id, i.kind, i.chat_id, i.message_id, i.actor_id, i.emoji, to_rfc3339(i.created_at) as created_at,
               i.user_id is null as is_for_everyone
    ) j
);

-- Whether a member of the item's chat sees the item. Items of an earlier membership are not seen.
create function is_inbox_item_visible(m chat_members, hidden_ids bigint[], i inbox_items) returns boolean
language sql immutable parallel safe
return i.chat_id = m.chat_id
    and (i.user_id = m.user_id or i.user_id is null and i.message_id > m.joined_after_message_id)
    and i.created_at >= m.joined_at
    and i.actor_id is distinct from m.user_id
    and coalesce(i.actor_id, 0) <> all (hidden_ids);

-- The users whose items a user does not see: those whom the user has blocked, and their bots.
create function inbox_hidden_ids(of_user bigint) returns bigint[]
language sql stable parallel safe
return array(
    select b.blocked_id from blocks b where b.blocker_id = of_user
    union
    select u.id from blocks b join users u on u.owner_id = b.blocked_id where b.blocker_id = of_user
);

-- Counts the unseen items of a user in each chat that has some: among the newest 5,000 of the user, and the newest
-- 100 for everyone of each chat. The limits bound what is read, also of items that the user does not see.
create function inbox_counts(of_user bigint) returns table (chat_id bigint, inbox_count bigint)
language sql stable rows 10
begin atomic
    with viewer as materialized (
        select inbox_mark(of_user) as mark, inbox_hidden_ids(of_user) as hidden_ids
    ), own as materialized (
        select i.id from inbox_items i
        where i.user_id = of_user and i.id > (select mark from viewer)
        order by i.id desc limit 5000
    ), unseen as (
        select i.chat_id
        from own
        join inbox_items i on i.id = own.id
        join chat_members m on m.user_id = of_user and m.chat_id = i.chat_id
        where is_inbox_item_visible(m, (select hidden_ids from viewer), i)
        union all
        select m.chat_id
        from chat_members m
        cross join lateral (
            select n.id from inbox_items n
            where n.user_id is null and n.chat_id = m.chat_id and n.id > (select mark from viewer)
            order by n.id desc limit 100
        ) newest
        join inbox_items i on i.id = newest.id
        where m.user_id = of_user and is_inbox_item_visible(m, (select hidden_ids from viewer), i)
    )
    select unseen.chat_id, count(*) from unseen group by unseen.chat_id;
end;

-- Drops items for programs, for users who did it themselves, who have blocked the actor or the actor's owner, or
-- who are no members.
create function inbox_items_filter() returns trigger language plpgsql as $$
begin
    if new.user_id is null or exists (
        select from chat_members m join users u on u.id = m.user_id and u.kind = 'person'
        where m.chat_id = new.chat_id and m.user_id = new.user_id
          and is_inbox_item_visible(m, inbox_hidden_ids(m.user_id), new)
    ) then return new; end if;
    return null;
end $$;

create trigger inbox_items_filter before insert on inbox_items
    for each row execute function inbox_items_filter();

-- An item for everyone is sent to the members of the chat, others to their user if the user sees them. Nothing
-- is sent of the items of messages that retention deletes: chat.trimmed tells of these.
create function inbox_items_changed() returns trigger language plpgsql as $$
begin
    -- The messages of a deleted chat are deleted without the append lock.
    if not exists (select from changed_rows i join chats c on c.id = i.chat_id) then return null; end if;
    perform append_lock();
    insert into events (type, chat_id, user_id, data)
    select case tg_op when 'INSERT' then 'inbox.added' else 'inbox.removed' end, i.chat_id, i.user_id, row_to_json(j)
    from changed_rows i
    join chats c on c.id = i.chat_id
    cross join lateral (
        select i.chat_id, to_rfc3339(clock_timestamp()) as at, inbox_item_json(i) as item
    ) j
    where (i.message_id is null or exists (select from messages x where x.id = i.message_id))
      and (i.user_id is null or exists (
          select from chat_members m
          where m.chat_id = i.chat_id and m.user_id = i.user_id
            and is_inbox_item_visible(m, inbox_hidden_ids(m.user_id), i)
      ))
    order by i.id;
    if found then
        perform notify_log();
    end if;
    return null;
end $$;

create trigger inbox_items_inserted after insert on inbox_items
    referencing new table as changed_rows
    for each statement execute function inbox_items_changed();

create trigger inbox_items_deleted after delete on inbox_items
    referencing old table as changed_rows
    for each statement execute function inbox_items_changed();

-- Sent to all devices of the user. Chats that are not listed have no unseen items.
create function inbox_marks_changed() returns trigger language plpgsql as $$
begin
    perform append_lock();
    insert into events (type, user_id, data)
    select 'inbox.seen', new.user_id, row_to_json(j)
    from (
        select to_rfc3339(clock_timestamp()) as at, new.item_id as last_seen_item_id, coalesce((
            select json_agg(row_to_json(u) order by u.chat_id) from inbox_counts(new.user_id) u
        ), '[]') as chats
    ) j;
    perform notify_log();
    return null;
end $$;

create trigger inbox_marks_changed after insert or update on inbox_marks
    for each row execute function inbox_marks_changed();

-- Who gets an item of a message. One that mentions everyone is one item for all, and no other.
create function inbox_recipients(mentioned bigint[], is_for_everyone boolean, replied_id bigint)
returns table (user_id bigint, kind text)
language sql stable rows 2
begin atomic
    select null::bigint, 'mention' where is_for_everyone
    union all
    select unnest(mentioned), 'mention' where not is_for_everyone
    union all
    select r.sender_id, 'reply' from messages r
    where r.id = replied_id and not is_for_everyone and r.sender_id <> all (mentioned);
end;

create function messages_inserted_inbox() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n where n.mentions_everyone or n.mentions <> '{}' or n.reply_to is not null
    ) then return null; end if;
    insert into inbox_items (user_id, kind, chat_id, message_id, actor_id)
    select i.user_id, i.kind, n.chat_id, n.id, n.sender_id
    from new_rows n
    cross join inbox_recipients(n.mentions, n.mentions_everyone, n.reply_to) i
    where n.deleted_at is null
    order by n.id, i.user_id;
    return null;
end $$;

create trigger messages_inserted_inbox after insert on messages
    referencing new table as new_rows
    for each statement execute function messages_inserted_inbox();

-- An edit adds items for new mentions, and deletes those of mentions that are gone.
create function messages_updated_inbox() returns trigger language plpgsql as $$
begin
    if not exists (
        select from new_rows n join old_rows o using (id)
        where (n.mentions, n.mentions_everyone, n.deleted_at)
              is distinct from (o.mentions, o.mentions_everyone, o.deleted_at)
    ) then return null; end if;
    delete from inbox_items i using new_rows n
    where i.message_id = n.id and (
        n.deleted_at is not null
        or i.kind = 'mention' and case
            when i.user_id is null then not n.mentions_everyone
            else n.mentions_everyone or i.user_id <> all (n.mentions)
        end
        or i.kind = 'reply' and (n.mentions_everyone or i.user_id = any (n.mentions))
    );
    insert into inbox_items (user_id, kind, chat_id, message_id, actor_id)
    select i.user_id, i.kind, n.chat_id, n.id, n.sender_id
    from new_rows n
    join old_rows o using (id)
    cross join inbox_recipients(n.mentions, n.mentions_everyone, n.reply_to) i
    where n.deleted_at is null
      and (n.mentions, n.mentions_everyone) is distinct from (o.mentions, o.mentions_everyone)
      and not exists (
          select from inbox_recipients(o.mentions, o.mentions_everyone, o.reply_to) b
          where b.kind = i.kind and b.user_id is not distinct from i.user_id
      )
    order by n.id, i.user_id;
    return null;
end $$;

create trigger messages_updated_inbox after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_updated_inbox();

create function reactions_inserted_inbox() returns trigger language plpgsql as $$
begin
    insert into inbox_items (user_id, kind, chat_id, message_id, actor_id, emoji)
    select m.sender_id, 'reaction', m.chat_id, m.id, r.user_id, r.emoji
    from new_rows r
    join messages m on m.id = r.message_id and m.deleted_at is null and m.sender_id is not null
    order by r.message_id, r.created_at, r.user_id;
    return null;
end $$;

create trigger reactions_inserted_inbox after insert on reactions
    referencing new table as new_rows
    for each statement execute function reactions_inserted_inbox();

create function reactions_deleted_inbox() returns trigger language plpgsql as $$
begin
    delete from inbox_items i using old_rows r
    where i.kind = 'reaction' and i.message_id = r.message_id and i.actor_id = r.user_id and i.emoji = r.emoji;
    return null;
end $$;

create trigger reactions_deleted_inbox after delete on reactions
    referencing old table as old_rows
    for each statement execute function reactions_deleted_inbox();

-- The transaction setting confab.actor names the user who adds a member.
create function members_inserted_inbox() returns trigger language plpgsql as $$
declare
    actor bigint := nullif(current_setting('confab.actor', true), '')::bigint;
begin
    if actor is null then return null; end if;
    insert into inbox_items (user_id, kind, chat_id, actor_id)
    select n.user_id, 'added', n.chat_id, actor
    from new_rows n join chats c on c.id = n.chat_id and c.type <> 'single'
    where n.user_id <> actor
    order by n.chat_id, n.user_id;
    return null;
end $$;

create trigger members_inserted_inbox after insert on chat_members
    referencing new table as new_rows
    for each statement execute function members_inserted_inbox();
