-- What is known of an uploaded picture, so that a page can keep its place, and show
-- a small one first.

alter table files
    add column width          int,
    add column height         int,
    -- A small copy, in the blob store too.
    add column thumbnail_key  text unique,
    add column thumbnail_type text,
    add column thumbnail_size bigint,
    add constraint files_picture check (
        num_nonnulls(width, height, thumbnail_key, thumbnail_type, thumbnail_size) in (0, 5)
        and width > 0 and height > 0
    );

create or replace function file_json(f files) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select f.id, '/api/files/' || f.id as url, f.filename, f.size, f.mime_type, f.width, f.height,
               case when f.thumbnail_key is not null then '/api/files/' || f.id || '/thumbnail' end as thumbnail_url
    ) j
);
