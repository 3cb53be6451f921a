-- An edit or a deletion no longer updates the search index while it holds the append
-- lock: it removes the old entry, which is cheap, and the job indexes the new text later,
-- as it does with new messages. A search finds the new text immediately, because it also
-- scans the messages that are not indexed.

-- Messages whose text has changed since they were indexed. Without a unique index, so that
-- an edit never waits for the job that deletes the row.
create table search_stale (
    message_id bigint not null
);

alter table search_entries add column has_files boolean not null default false;

update search_entries e set has_files = true
where exists (select from message_files f where f.message_id = e.message_id);

-- For a search with `has=file`.
create index search_entries_has_files on search_entries (message_id) where has_files;

-- Indexes up to `batch_size` changed messages and as many new ones, and returns how many.
-- Of a long text only the beginning is indexed. Only one process runs it at a time; a
-- second one returns 0. A crash loses the entries and the progress together, so the commit
-- need not wait for the disk.
create or replace function index_messages(batch_size int) returns int language plpgsql as $$
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

create or replace function messages_reindexed() returns trigger language plpgsql as $$
begin
    with changed as (
        insert into search_stale (message_id)
        select n.id from new_rows n join old_rows o using (id) where n.content <> o.content
        returning message_id
    )
    delete from search_entries e using changed where e.message_id = changed.message_id;
    return null;
end $$;
