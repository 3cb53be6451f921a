-- Revisions: the earlier texts of edited messages, for the admins of the chat. Deleting
-- a message also deletes its revisions.

create table message_edits (
    message_id bigint      not null references messages on delete cascade,
    edited_at  timestamptz not null default clock_timestamp(),
    content    text        not null,
    primary key (message_id, edited_at)
);
