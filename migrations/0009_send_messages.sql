-- Sending, for a whole batch of messages by any number of people: one call, one
-- transaction, one round trip, and an outcome for each message. A message is
-- left out when its sender is no member or may not send, its nonce is used, or it
-- points at a message or a file that it may not; its neighbours are written all
-- the same.
--
-- The messages come as arrays of one length. The files come beside them, one
-- entry for each attachment, with the place of its message in the batch
-- (counted from 0) and its place in the message; the names that are called
-- likewise.
--
-- A function is planned once for each connection. Every row is reached by key,
-- so one plan fits all batches, the first after a start as well as any later.
create function send_messages(
    chat_ids bigint[], sender_ids bigint[], contents text[], replies bigint[], nonces text[],
    file_messages int[], file_positions smallint[], file_ids bigint[],
    mention_messages int[], mention_names text[]
) returns table (message int, outcome text, id bigint, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
    written int;
begin
    -- Each statement below sees everything that was committed before this.
    perform append_lock();

    return query
    with input as materialized (
        select * from unnest(chat_ids, sender_ids, contents, replies, nonces)
            with ordinality as i (chat_id, sender_id, content, reply_to, nonce, nth)
    ), attached as materialized (
        select * from unnest(file_messages, file_positions, file_ids) as a (message, position, file_id)
    ), called as materialized (
        select message, array_agg(name) as names
        from unnest(mention_messages, mention_names) as a (message, name)
        group by message
    ), eligible as materialized (
        select i.nth::int - 1 as message, nextval('messages_id_seq') as id, clock_timestamp() as created_at, i.*,
               coalesce(c.user_ids, '{}') as mentions, coalesce(c.everyone, false) as mentions_everyone
        from input i
        join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id and m.can_send
        left join lateral (
            select x.* from called a cross join resolve_mentions(i.chat_id, i.sender_id, a.names) x where a.message = i.nth - 1
        ) c on true
        where (i.reply_to is null or exists (
                  select from messages r where r.chat_id = i.chat_id and r.id = i.reply_to))
          and not exists (
                  select from attached a where a.message = i.nth - 1 and not exists (
                      select from files f where f.id = a.file_id and f.uploader_id = i.sender_id))
        order by i.nth
    ), inserted as (
        insert into messages (id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone)
        overriding system value
        select id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone from eligible order by id
        on conflict (sender_id, chat_id, nonce) where nonce is not null do nothing
        returning id
    ), shown as (
        insert into message_files (message_id, position, file_id)
        select e.id, a.position, a.file_id
        from attached a join eligible e on e.message = a.message join inserted n on n.id = e.id
    )
    select e.message, 'written', e.id, e.created_at from eligible e
    -- "is true" keeps it a hashed lookup: a join would be a nested loop, as the
    -- planner expects one row.
    where (e.id in (select n.id from inserted n)) is true;

    get diagnostics written = row_count;
    if written = cardinality(chat_ids) then return; end if;

    -- Why the others were not. For those that were this says nothing new. A used
    -- nonce comes last: one that is wrong in itself is so whatever its neighbours
    -- are.
    return query
    select i.nth::int - 1,
           case when m.user_id is null then 'not_a_member'
                when not m.can_send then 'may_not_send'
                when i.reply_to is not null and replied.id is null then 'no_such_reply'
                when exists (
                    select from unnest(file_messages, file_ids) as a (message, file_id)
                    where a.message = i.nth - 1 and not exists (
                        select from files f where f.id = a.file_id and f.uploader_id = i.sender_id)
                ) then 'no_such_file'
                else 'repeated'
           end, first.id, first.created_at
    from unnest(chat_ids, sender_ids, replies, nonces) with ordinality as i (chat_id, sender_id, reply_to, nonce, nth)
    left join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id
    left join messages first on first.sender_id = i.sender_id and first.chat_id = i.chat_id and first.nonce = i.nonce
    left join messages replied on replied.chat_id = i.chat_id and replied.id = i.reply_to;
end $$;
