-- Search by words and by substrings, in any language. These indexes are expensive to
-- update, so sending does not update them: a job of the chat server copies new messages
-- into them about once a second. Message ids increase in commit order, so one number
-- records the progress. A search also scans the few messages after it, so that a new
-- message is found immediately.

create extension if not exists pg_trgm;

-- Public channels are found by any part of their names.
create index chats_name_trgm on chats using gin (lower(name) gin_trgm_ops) where type = 'public_channel';

create table search_entries (
    message_id bigint primary key references messages on delete cascade,
    chat_id    bigint not null,
    content    text   not null
);

-- For a common word in one chat: scanned from the newest message backwards.
create index search_entries_chat_id on search_entries (chat_id, message_id);

create table search_progress (
    id    boolean primary key default true check (id),
    -- Every message up to this one is indexed.
    indexed_up_to  bigint  not null
);

insert into search_progress (indexed_up_to) values (0);

-- 'simple' keeps every word as written, because chats are not in one language.
create function search_vector(content text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', content);

-- Parses the text of a search box. The last word may be incomplete, unless it ends an
-- excluded phrase. A text that consists only of operators matches nothing.
create function search_query(input text) returns tsquery
language sql immutable parallel safe
return case
    when websearch_to_tsquery('simple', input)::text like '%'''
        then (websearch_to_tsquery('simple', input)::text || ':*')::tsquery
    else websearch_to_tsquery('simple', input)
end;

create index search_entries_content_vector on search_entries using gin (search_vector(content));
create index search_entries_content_trgm on search_entries using gin (content gin_trgm_ops);

-- Indexes up to `batch_size` messages and returns how many. Only one process runs it
-- at a time; a second one returns 0. A crash undoes the entries and the progress
-- together, so the commit does not wait for the disk.
create function index_messages(batch_size int) returns int language plpgsql as $$
declare
    indexed_count int;
    last_id  bigint;
begin
    if not pg_try_advisory_xact_lock(4861703374915) then return 0; end if;
    perform set_config('synchronous_commit', 'off', true);
    with new_messages as materialized (
        select m.id, m.chat_id, m.content, m.deleted_at from messages m
        where m.id > (select indexed_up_to from search_progress)
        order by m.id limit batch_size
    ), indexed as (
        insert into search_entries (message_id, chat_id, content)
        select id, chat_id, content from new_messages where deleted_at is null and content <> ''
        -- The message was edited in the meantime, so its entry is newer.
        on conflict do nothing
    )
    select count(*), max(id) into indexed_count, last_id from new_messages;
    update search_progress set indexed_up_to = last_id where indexed_count > 0;
    return indexed_count;
end $$;

-- Edits are rare and are indexed immediately. A deleted message has an empty entry, so
-- that a concurrent copy does not restore its content.
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
