-- A search may have filters only, so messages with files and without a text are indexed too.

insert into search_stale (message_id)
select distinct m.id from message_files f join messages m on m.id = f.message_id
where m.content = '' and m.id <= (select indexed_up_to from search_progress);
