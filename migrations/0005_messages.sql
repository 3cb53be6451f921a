-- Messages. Ids grow in commit order, because every write that people can see
-- holds the append lock (see 0007) from before its first row until its commit;
-- "everything up to message 17" is therefore a complete statement, for pages
-- and for read marks alike. A nonce is the sender's own name for one send: the
-- same nonce again finds the first message.

create table messages (
    id         bigint generated always as identity primary key,
    chat_id    bigint      not null references chats on delete cascade,
    sender_id  bigint      references users on delete set null,
    content    text        not null,
    reply_to   bigint,
    nonce      text,
    created_at timestamptz not null default clock_timestamp(),
    edited_at  timestamptz,
    deleted_at timestamptz,
    constraint messages_content_size check (octet_length(content) <= 65536),
    constraint messages_nonce_length check (char_length(nonce) between 1 and 64),
    -- A reply stays in its chat: the pair of columns is the key it points to.
    -- A deleted message keeps its row, so a reply never points at nothing.
    constraint messages_chat_id_id_key unique (chat_id, id),
    constraint messages_reply_to_fkey foreign key (chat_id, reply_to) references messages (chat_id, id)
);

create unique index messages_nonce_key on messages (sender_id, chat_id, nonce) where nonce is not null;
create index messages_reply_to on messages (chat_id, reply_to) where reply_to is not null;
create index messages_sender_id on messages (sender_id);

create table message_files (
    message_id bigint   not null references messages on delete cascade,
    position   smallint not null,
    file_id    bigint   not null references files on delete cascade,
    primary key (message_id, position)
);

create index message_files_file_id on message_files (file_id);

-- The one shape of a message, for REST and for events. A deleted message keeps
-- its place and loses its content. A view, because the planner sees through it;
-- a function would be planned anew by every statement that calls it.
create view message_view as
select m.id, m.chat_id, m.sender_id, m.nonce,
       (select row_to_json(j) from (
           select m.id, m.chat_id, m.sender_id,
                  case when m.deleted_at is null then m.content else '' end as content,
                  coalesce((
                      select json_agg(file_json(f) order by mf.position)
                      from message_files mf join files f on f.id = mf.file_id
                      where mf.message_id = m.id and m.deleted_at is null
                  ), '[]'::json) as files,
                  m.reply_to, m.nonce,
                  wire_time(m.created_at) as created_at,
                  wire_time(m.edited_at) as edited_at,
                  wire_time(m.deleted_at) as deleted_at,
                  '[]'::json as reactions,
                  false as pinned
       ) j) as json
from messages m;
