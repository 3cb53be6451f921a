-- Messages. Ids increase in commit order, because every visible write holds the append
-- lock (0018) from before its first row until its commit. "All messages up to 17" is
-- therefore well defined, for pages and for read markers. The sender chooses a nonce
-- for each send; a repeated nonce returns the first message.

create table messages (
    id         bigint generated always as identity primary key,
    -- Not a foreign key: the messages of a deleted chat are purged later (0029).
    chat_id    bigint      not null,
    sender_id  bigint      references users on delete set null,
    content    text        not null,
    reply_to   bigint,
    nonce      text,
    created_at timestamptz not null default clock_timestamp(),
    edited_at  timestamptz,
    deleted_at timestamptz,
    -- The members that the message mentions by name, resolved by the server.
    mentions   bigint[]    not null default '{}',
    mentions_everyone boolean not null default false,
    pinned_at  timestamptz,
    pinned_by  bigint      references users on delete set null,
    constraint messages_content_size check (octet_length(content) <= 65536),
    constraint messages_nonce_length check (char_length(nonce) between 1 and 64),
    -- A reply references a message of the same chat, by this pair of columns. A deleted
    -- message keeps its row, so a reply always has its target; only retention deletes
    -- rows. The included columns serve the unread count.
    constraint messages_chat_id_id_key unique (chat_id, id) include (sender_id, deleted_at),
    constraint messages_reply_to_fkey foreign key (chat_id, reply_to) references messages (chat_id, id)
        on delete set null (reply_to)
);

create unique index messages_nonce_key on messages (sender_id, chat_id, nonce) where nonce is not null;
create index messages_reply_to on messages (chat_id, reply_to) where reply_to is not null;
create index messages_sender_id on messages (sender_id);
create index messages_pinned on messages (chat_id, pinned_at) where pinned_at is not null;

create table message_files (
    message_id bigint   not null references messages on delete cascade,
    position   smallint not null,
    file_id    bigint   not null references files on delete cascade,
    primary key (message_id, position)
);

create index message_files_file_id on message_files (file_id);
