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
    content    text   not null,
    has_files  boolean not null
);

-- For a common word in one chat: scanned from the newest message backwards.
create index search_entries_chat_id on search_entries (chat_id, message_id);

-- For a search with `has=file`.
create index search_entries_has_files on search_entries (message_id) where has_files;

create table search_progress (
    id    boolean primary key default true check (id),
    -- Every message up to this one is indexed.
    indexed_up_to  bigint  not null
);

insert into search_progress (indexed_up_to) values (0);

-- Messages whose text has changed since they were indexed. Without a unique index, so that
-- an edit never waits for the job that deletes the row.
create table search_stale (
    message_id bigint not null
);

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

-- Indexes up to `batch_size` changed messages and as many new ones, and returns how many.
-- Of a long text only the beginning is indexed. Only one process runs it at a time; a
-- second one returns 0. A crash loses the entries and the progress together, so the commit
-- need not wait for the disk.
create function index_messages(batch_size int) returns int language plpgsql as $$
declare
    max_indexed_characters constant int := 16384;
    stale_ids      bigint[];
    indexed_count  int;
    last_id        bigint;
begin
    if not pg_try_advisory_xact_lock(4861703374915) then return 0; end if;
    perform set_config('synchronous_commit', 'off', true);
    with taken as (
        delete from search_stale where ctid = any(array(select ctid from search_stale limit batch_size))
        returning message_id
    )
    select coalesce(array_agg(distinct message_id), '{}') into stale_ids from taken;
    -- This statement and the next ones read every change whose row was taken above. A
    -- later change adds another row.
    delete from search_entries where message_id = any(stale_ids);
    with new_messages as materialized (
        select m.id, m.chat_id, m.content, m.deleted_at from messages m
        where m.id > (select indexed_up_to from search_progress)
        order by m.id limit batch_size
    ), indexed as (
        insert into search_entries (message_id, chat_id, content, has_files)
        select m.id, m.chat_id, left(m.content, max_indexed_characters),
               exists (select from message_files f where f.message_id = m.id)
        from (
            select id, chat_id, content, deleted_at from new_messages
            union
            select id, chat_id, content, deleted_at from messages where id = any(stale_ids)
        ) m
        where m.deleted_at is null and m.content <> ''
        on conflict do nothing
    )
    select count(*), max(id) into indexed_count, last_id from new_messages;
    update search_progress set indexed_up_to = last_id where indexed_count > 0;
    return indexed_count + cardinality(stale_ids);
end $$;

-- An edit or a deletion removes the entry, which is cheap, and the job indexes the new
-- text later, because the append lock is held here.
create function messages_reindexed() returns trigger language plpgsql as $$
begin
    with changed as (
        insert into search_stale (message_id)
        select n.id from new_rows n join old_rows o using (id) where n.content <> o.content
        returning message_id
    )
    delete from search_entries e using changed where e.message_id = changed.message_id;
    return null;
end $$;

create trigger messages_reindexed after update on messages
    referencing new table as new_rows old table as old_rows
    for each statement execute function messages_reindexed();
