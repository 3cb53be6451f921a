-- Search by words and by substrings, in any language. These indexes are expensive to
-- update, so sending does not update them: a job of the chat server copies new messages
-- into them about once a second. Message ids increase in commit order, so one number
-- records the progress. A search also scans the few messages after it, so that a new
-- message is found immediately.

create extension if not exists pg_trgm;

-- Public channels are found by any part of their names, and users by the beginning of any
-- word of theirs.
create index chats_words on chats using gin (words gin_trgm_ops) where type = 'public_channel';
create index users_words on users using gin (words gin_trgm_ops) where deleted_at is null;

-- The words of each message, in lower case and without accents, between single spaces;
-- `chat_core::search` makes them.
create table search_entries (
    message_id bigint  primary key references messages on delete cascade,
    chat_id    bigint  not null,
    sender_id  bigint,
    has_files  boolean not null,
    words      text    not null
);

-- For a common word in one chat: scanned from the newest message backwards.
create index search_entries_chat_id on search_entries (chat_id, message_id);

-- For a search with `has=file`.
create index search_entries_has_files on search_entries (message_id) where has_files;

-- What the index finds: the words, the chat, the sender and whether the message has files.
-- With the chat in the index, it finds only entries of the chats that are searched.
create function search_lexemes(chat_id bigint, sender_id bigint, has_files boolean, words text) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(
    string_to_array(btrim(words, ' '), ' ')
    || array['#' || chat_id::text, '@' || coalesce(sender_id, 0)::text, case when has_files then '+file' else '-file' end]
);

-- The second column finds parts of words.
create index search_entries_words on search_entries
    using gin (search_lexemes(chat_id, sender_id, has_files, words), words gin_trgm_ops);

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
