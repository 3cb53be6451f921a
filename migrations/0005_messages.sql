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
    -- Whom it calls by name. Resolved as it is written, and not by clients.
    mentions   bigint[]    not null default '{}',
    mentions_everyone boolean not null default false,
    pinned_at  timestamptz,
    pinned_by  bigint      references users on delete set null,
    constraint messages_content_size check (octet_length(content) <= 65536),
    constraint messages_nonce_length check (char_length(nonce) between 1 and 64),
    -- A reply stays in its chat: the pair of columns is the key it points to.
    -- A deleted message keeps its row, so a reply never points at nothing; only
    -- retention takes rows away. What is included serves the unread count.
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

-- What a message said before it was edited, for the admins of its chat. Deleting
-- the message deletes this too: deleted is deleted.
create table message_edits (
    message_id bigint      not null references messages on delete cascade,
    edited_at  timestamptz not null default clock_timestamp(),
    content    text        not null,
    primary key (message_id, edited_at)
);

-- The mentions again, by whom they call: what unread counts are read from. Only
-- the triggers of messages (0008) write here. A null calls everyone.
create table mentions (
    chat_id    bigint not null,
    message_id bigint not null references messages on delete cascade,
    user_id    bigint,
    sender_id  bigint
);

create index mentions_chat_id on mentions (chat_id, user_id, message_id) include (sender_id);
create index mentions_message_id on mentions (message_id);

-- The members of a chat who have these names, in lower case, but not the sender;
-- and whether everyone is called, which only an admin may do.
create function resolve_mentions(of_chat bigint, by_user bigint, names text[])
returns table (user_ids bigint[], everyone boolean)
language sql stable rows 1
begin atomic
    select coalesce((
               select array_agg(m.user_id order by m.user_id)
               from users u join chat_members m on m.chat_id = of_chat and m.user_id = u.id
               where lower(u.username) = any (names) and u.id <> by_user
           ), '{}'),
           'everyone' = any (names) and exists (
               select from chat_members m
               where m.chat_id = of_chat and m.user_id = by_user and m.role in ('owner', 'admin')
           );
end;

create table reactions (
    message_id bigint      not null references messages on delete cascade,
    emoji      text        not null,
    user_id    bigint      not null references users on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    primary key (message_id, emoji, user_id),
    constraint reactions_emoji_length check (char_length(emoji) between 1 and 32)
);

create index reactions_user_id on reactions (user_id);

-- The one shape of a message, for REST and for events. A deleted message keeps
-- its place and loses its content. One text goes to many, so whether the viewer
-- is among those who reacted is null here. A view, because the planner sees through it;
-- a function would be planned anew by every statement that calls it.
create view message_view as
select m.id, m.chat_id, m.sender_id, m.nonce, m.reply_to,
       (select row_to_json(j) from (
           select m.id, m.chat_id, m.sender_id,
                  case when m.deleted_at is null then m.content else '' end as content,
                  coalesce((
                      select json_agg(file_json(f) order by mf.position)
                      from message_files mf join files f on f.id = mf.file_id
                      where mf.message_id = m.id and m.deleted_at is null
                  ), '[]'::json) as files,
                  m.reply_to, m.nonce,
                  to_rfc3339(m.created_at) as created_at,
                  to_rfc3339(m.edited_at) as edited_at,
                  to_rfc3339(m.deleted_at) as deleted_at,
                  m.mentions, m.mentions_everyone,
                  coalesce((
                      select json_agg(json_build_object('emoji', r.emoji, 'count', r.count, 'me', null) order by r.since, r.emoji)
                      from (
                          select x.emoji, count(*) as count, min(x.created_at) as since
                          from reactions x where x.message_id = m.id group by x.emoji
                      ) r
                  ), '[]'::json) as reactions,
                  m.pinned_at is not null as pinned
       ) j) as json
from messages m;
