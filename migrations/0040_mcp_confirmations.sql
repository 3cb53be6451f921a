-- Answers of users to the questions of tools for models (MCP): each is used once.

create table mcp_confirmations (
    -- Of the signed state of the question.
    digest     bytea       primary key,
    expires_at timestamptz not null
);

create index mcp_confirmations_expires_at on mcp_confirmations (expires_at);
