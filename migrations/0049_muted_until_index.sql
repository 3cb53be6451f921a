-- no-transaction
-- Finds chats that are to notify again.
create index concurrently chat_members_muted_until on chat_members (muted_until) where muted_until is not null;
