-- Images at other servers that messages of a webhook (0037) show instead of its avatar. The integration
-- server loads each once, as a file of the user of the webhook.

create table webhook_avatars (
    id            bigint      generated always as identity primary key,
    -- The user of the webhook, and the chat whose members see the image.
    user_id       bigint      not null references users on delete cascade,
    chat_id       bigint      not null references chats on delete cascade,
    -- Where it is; null once another image took its place: messages that show it keep it.
    url           text,
    -- Null if it was not loaded, or is no image.
    file_id       bigint      references files on delete cascade,
    -- When it was asked for, and when it was loaded or could not be.
    requested_at  timestamptz not null default now(),
    loaded_at     timestamptz,
    -- When a message last used it.
    used_at       timestamptz not null default now(),
    -- Whether it is to be loaded, and since when it is being loaded.
    is_due        boolean     not null default true,
    loading_since timestamptz,
    unique (user_id, url)
);

create index webhook_avatars_chat_id on webhook_avatars (chat_id);
create index webhook_avatars_file_id on webhook_avatars (file_id) where file_id is not null;
create index webhook_avatars_due on webhook_avatars (used_at) where is_due;
create index webhook_avatars_loading on webhook_avatars (loading_since) where loading_since is not null;
