-- A search may have filters only, so messages with files and without words are indexed too.

-- The messages up to this one were indexed again, because an earlier version left out those without words; null if all
-- were.
alter table search_progress add column reindexed_up_to bigint default 0;

-- As in 0028. The deletion of a message without a text changes only `deleted_at`.
create or replace function messages_reindexed() returns trigger language plpgsql as $$
begin
    with changed as (
        insert into search_stale (message_id)
        select n.id from new_rows n join old_rows o using (id)
        where n.content <> o.content or n.deleted_at is distinct from o.deleted_at
        returning message_id
    )
    delete from search_entries e using changed where e.message_id = changed.message_id;
    return null;
end $$;
