-- Invites: links that let users join until a time or for a number of uses.

create table invites (
    code       text        primary key,
    chat_id    bigint      not null references chats on delete cascade,
    created_by bigint      references users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    max_uses   int,
    uses       int         not null default 0,
    constraint invites_max_uses check (max_uses > 0),
    constraint invites_uses check (uses between 0 and coalesce(max_uses, uses))
);

create index invites_chat_id on invites (chat_id);

create view active_invites as
select * from invites
where (expires_at is null or expires_at > now()) and (max_uses is null or uses < max_uses);
