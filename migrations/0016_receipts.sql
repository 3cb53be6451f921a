-- Receipts are markers, not one row per message and reader: "all messages of this chat up
-- to message m were delivered to (or read by) this user at this time". Each move forward
-- adds one row. A user read message m at the time of the user's first marker at or after
-- m. Storage grows with the number of moves.

create type receipt_kind as enum ('delivered', 'read');

create table receipts (
    chat_id    bigint       not null references chats on delete cascade,
    user_id    bigint       not null references users on delete cascade,
    kind       receipt_kind not null,
    message_id bigint       not null,
    at         timestamptz  not null default clock_timestamp(),
    primary key (chat_id, user_id, kind, message_id),
    constraint receipts_message_fkey foreign key (chat_id, message_id)
        references messages (chat_id, id) on delete cascade
);

create index receipts_message on receipts (chat_id, message_id);
