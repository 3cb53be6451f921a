-- Mail: what is to be sent, and the links in it, which prove that whoever follows them receives mail at an address.

alter table users
    -- When the user proved to receive mail at the address; null if that never happened.
    add column email_verified_at timestamptz,
    -- The language of mail to the user.
    add column language          text not null default 'en';

-- A mail is a row until some time after it was sent, so that mail to an address can be limited. Its text is composed
-- when it is sent.
create table mails (
    id           bigint      generated always as identity primary key,
    kind         text        not null,
    address      text        not null,
    language     text        not null,
    -- Whose account the mail is about or who caused it; null if only the address is known.
    user_id      bigint      references users on delete cascade,
    -- What the text needs and no other table has.
    data         jsonb       not null default '{}',
    created_at   timestamptz not null default clock_timestamp(),
    -- When to send it; null once it was sent or given up.
    due_at       timestamptz default clock_timestamp(),
    leased_until timestamptz,
    attempts     integer     not null default 0,
    sent_at      timestamptz,
    error        text,
    constraint mails_kind check (kind in (
        'sign_up', 'password_reset', 'email_change', 'password_changed', 'email_changed', 'new_sign_in',
        'account_approved', 'invitation', 'digest'
    ))
);

create index mails_due_at on mails (due_at) where due_at is not null;
create index mails_address on mails (lower(address), created_at);
create index mails_user_id on mails (user_id, created_at) where user_id is not null;
create index mails_created_at on mails (created_at);
create unique index mails_digest on mails (user_id) where kind = 'digest' and due_at is not null;

-- A link in a mail. The database holds only the hash of its token.
create table mail_links (
    hash       bytea       primary key,
    mail_id    bigint      not null references mails on delete cascade,
    expires_at timestamptz not null
);

create index mail_links_mail_id on mail_links (mail_id);
create index mail_links_expires_at on mail_links (expires_at);

-- Addresses that want no invitations, in lower case.
create table mail_suppressions (
    address    text        primary key,
    created_at timestamptz not null default clock_timestamp()
);

-- Up to which item of the inboxes it was decided who gets a digest.
create table mail_digest_position (
    item_id bigint not null
);

insert into mail_digest_position select coalesce(max(id), 0) from inbox_items;

alter table notification_settings
    -- Whether the user gets digests of unread mentions by mail.
    add column email_digest boolean not null default true;

create or replace function notification_settings_json(s notification_settings) returns json
language sql stable parallel safe
return (
    select row_to_json(j) from (
        select coalesce(s.direct_level, 'all') as direct_level, coalesce(s.group_level, 'all') as group_level,
               coalesce(s.channel_level, 'mentions') as channel_level, coalesce(s.keywords, '{}') as keywords,
               to_rfc3339(s.dnd_until) as dnd_until,
               case when s.quiet_from is not null then json_build_object(
                   'from', to_char(s.quiet_from, 'HH24:MI'), 'until', to_char(s.quiet_until, 'HH24:MI'),
                   'time_zone', s.time_zone
               ) end as quiet_hours,
               coalesce(s.email_digest, true) as email_digest
    ) j
);
