-- Uploaded files. The bytes are in the blob store under a random key. A file is
-- private to its uploader until a message attaches it; then the members of the
-- message's chat can read it. A user's avatar is visible to everyone.

create table files (
    id          bigint generated always as identity primary key,
    uploader_id bigint      not null references users on delete cascade,
    blob_key    text        not null unique,
    filename    text        not null,
    mime_type   text        not null,
    size        bigint      not null,
    created_at  timestamptz not null default now(),
    constraint files_size check (size >= 0),
    constraint files_filename_length check (char_length(filename) between 1 and 255)
);

create index files_uploader_id on files (uploader_id) include (size);

alter table users add constraint users_avatar_file_id_fkey
    foreign key (avatar_file_id) references files on delete set null;

create index users_avatar_file_id on users (avatar_file_id) where avatar_file_id is not null;

alter table files
    add column width          int,
    add column height         int,
    -- The thumbnail, also in the blob store.
    add column thumbnail_key  text unique,
    add column thumbnail_type text,
    add column thumbnail_size bigint,
    add constraint files_image_metadata check (
        num_nonnulls(width, height, thumbnail_key, thumbnail_type, thumbnail_size) in (0, 5)
        and width > 0 and height > 0
    );

create function file_json(f files) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select f.id, '/api/files/' || f.id as url, f.filename, f.size, f.mime_type, f.width, f.height,
               case when f.thumbnail_key is not null then '/api/files/' || f.id || '/thumbnail' end as thumbnail_url
    ) j
);
