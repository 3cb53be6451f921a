-- Uploaded files. The bytes live in the blob store under a random key; the row
-- says what they are. A file is private to its uploader until a message shows
-- it, and then to the members of that message's chat; one that somebody has made
-- their avatar is everybody's.

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

create function file_json(f files) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select f.id, '/api/files/' || f.id as url, f.filename, f.size, f.mime_type
    ) j
);
