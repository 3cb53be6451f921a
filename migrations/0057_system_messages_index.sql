-- no-transaction
-- Finds the system messages of a chat, which do not count as unread.
create index concurrently messages_system on messages (chat_id, id) where change is not null;
