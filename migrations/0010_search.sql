-- Searching what was said: by words, and by letters inside of words, in any
-- language. These indexes are dear to keep, so sending does not keep them: a
-- task of the chat server copies new messages into them about once a second.
-- Message ids grow in commit order, so one number says how far it has come, and
-- a search looks at the few messages after it one by one: what was just said is
-- found at once.

create extension if not exists pg_trgm;

-- Public channels are found by any part of their name.
create index chats_letters on chats using gin (lower(name) gin_trgm_ops) where type = 'public_channel';

create table search_entries (
    message_id bigint primary key references messages on delete cascade,
    chat_id    bigint not null,
    content    text   not null
);

-- For a common word in one chat: from the newest back.
create index search_entries_chat_id on search_entries (chat_id, message_id);

create table search_progress (
    id    boolean primary key default true check (id),
    -- Every message up to here has its entry.
    indexed_up_to  bigint  not null
);

insert into search_progress (indexed_up_to) values (0);

-- 'simple' keeps every word as it is written: there is no one language here.
create function search_words(content text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', content);

-- What people write into a search box. The last word may be unfinished, unless it
-- is the end of a phrase that is not wanted. Nothing but operators finds nothing.
create function search_query(input text) returns tsquery
language sql immutable parallel safe
return case
    when websearch_to_tsquery('simple', input)::text like '%'''
        then (websearch_to_tsquery('simple', input)::text || ':*')::tsquery
    else websearch_to_tsquery('simple', input)
end;

create index search_entries_words on search_entries using gin (search_words(content));
create index search_entries_letters on search_entries using gin (content gin_trgm_ops);

-- Takes up to so many messages into the index and answers how many it took. One
-- process at a time; another that comes meanwhile takes none.
-- A crash may undo it and its progress together, so nobody waits for the disk.
create function index_messages(at_most int) returns int language plpgsql as $$
declare
    taken int;
    last  bigint;
begin
    if not pg_try_advisory_xact_lock(4861703374915) then return 0; end if;
    perform set_config('synchronous_commit', 'off', true);
    with news as materialized (
        select m.id, m.chat_id, m.content, m.deleted_at from messages m
        where m.id > (select indexed_up_to from search_progress)
        order by m.id limit at_most
    ), entered as (
        insert into search_entries (message_id, chat_id, content)
        select id, chat_id, content from news where deleted_at is null and content <> ''
        -- Edited meanwhile: the entry is newer.
        on conflict do nothing
    )
    select count(*), max(id) into taken, last from news;
    update search_progress set indexed_up_to = last where taken > 0;
    return taken;
end $$;

-- An edit is rare, and indexed at once. A deleted message has an empty entry, so
-- that a copy under way does not bring back what it said.
create function messages_reindexed() returns trigger language plpgsql as $$
begin
    insert into search_entries (message_id, chat_id, content)
    select n.id, n.chat_id, n.content
    from new_rows n join old_rows o using (id)
    where n.content <> o.content
    on conflict (message_id) do update set content = excluded.content;
    return null;
end $$;

create trigger messages_reindexed after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_reindexed();
