-- OAuth 2.1: a program, such as an MCP client, receives a token from a user without seeing a password.
-- What the user grants is an API token (0036) without a secret of its own: the program gets signed
-- access tokens of a few minutes, and single-use refresh tokens (0003) whose hashes no device token has.

alter table api_tokens
    alter column hash drop not null,
    -- The program to which the user granted the token; null if the user copied the token. A granted one
    -- has an empty `last_four`.
    add column client_id text,
    add constraint api_tokens_secret
        check ((client_id is null) = (hash is not null) and (client_id is null) = (last_four <> ''));

create index api_tokens_client_id on api_tokens (client_id) where client_id is not null;

-- Programs by the URL of the document that describes them (Client ID Metadata Document). The integration
-- server loads it; the chat server, which never calls other servers, reads it here.
create table oauth_clients (
    client_id    text        primary key,
    -- The name and the redirect URIs; null if the document was not loaded or is not valid.
    description  jsonb,
    -- Why there is no description.
    error        text,
    loaded_at    timestamptz,
    -- When the document was last asked for.
    requested_at timestamptz not null default now(),
    -- The account that asked.
    requested_by bigint,
    -- Whether it is to be loaded, and since when it is being loaded.
    is_due        boolean     not null default true,
    loading_since timestamptz
);

create index oauth_clients_due on oauth_clients (requested_at) where is_due;
create index oauth_clients_requested_at on oauth_clients (requested_at);
create index oauth_clients_loading on oauth_clients (loading_since) where loading_since is not null;

-- The codes that a program exchanges for its tokens. Only hashes are stored.
create table oauth_codes (
    hash           bytea       primary key,
    user_id        bigint      not null references users on delete cascade,
    client_id      text        not null,
    client_name    text        not null,
    redirect_uri   text        not null,
    code_challenge text        not null,
    scopes         text[]      not null,
    chat_ids       bigint[],
    write_chat_ids bigint[],
    expires_at     timestamptz not null,
    -- The session that the code was exchanged for. A code that comes twice was stolen: the session ends.
    session_id     uuid        references sessions on delete cascade
);

create index oauth_codes_user_id on oauth_codes (user_id);
create index oauth_codes_expires_at on oauth_codes (expires_at);
create index oauth_codes_session_id on oauth_codes (session_id) where session_id is not null;
