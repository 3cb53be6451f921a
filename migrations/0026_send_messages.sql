-- Sends a batch of messages by any number of users: one call, one transaction, one
-- round trip, and an outcome for each message. A message is skipped if its sender is
-- not a member or cannot send, if its nonce is used, or if its reply or file is not
-- allowed; the rest of the batch is still written.
--
-- The messages are passed as arrays of one length. The files are passed as separate
-- arrays, one entry per attachment, with the index of its message in the batch (from 0)
-- and its position in the message. The mentioned names are passed in the same way.
--
-- A function is planned once per connection. Every row is found by key, so one plan
-- fits all batches.

create function send_messages(
    chat_ids bigint[], sender_ids bigint[], contents text[], reply_to_ids bigint[], nonces text[],
    file_messages int[], file_positions smallint[], file_ids bigint[],
    mention_messages int[], mention_names text[]
) returns table (message int, outcome text, id bigint, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
    written_count int;
begin
    -- Each later statement sees everything that was committed before this statement.
    perform append_lock();

    return query
    with input as materialized (
        select * from unnest(chat_ids, sender_ids, contents, reply_to_ids, nonces)
            with ordinality as i (chat_id, sender_id, content, reply_to, nonce, nth)
    ), attachments as materialized (
        select * from unnest(file_messages, file_positions, file_ids) as a (message, position, file_id)
    ), mention_lists as materialized (
        select message, array_agg(name) as names
        from unnest(mention_messages, mention_names) as a (message, name)
        group by message
    ), eligible as materialized (
        select i.nth::int - 1 as message, nextval('messages_id_seq') as id, clock_timestamp() as created_at, i.*,
               coalesce(c.user_ids, '{}') as mentions, coalesce(c.everyone, false) as mentions_everyone
        from input i
        join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id and m.can_send
        left join lateral (
            select x.* from mention_lists a cross join resolve_mentions(i.chat_id, i.sender_id, a.names) x where a.message = i.nth - 1
        ) c on true
        where (i.reply_to is null or exists (
                  select from messages r where r.chat_id = i.chat_id and r.id = i.reply_to))
          and not exists (
                  select from attachments a where a.message = i.nth - 1 and not exists (
                      select from files f where f.id = a.file_id and f.uploader_id = i.sender_id))
        order by i.nth
    ), inserted as (
        insert into messages (id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone)
        overriding system value
        select id, chat_id, sender_id, content, reply_to, nonce, created_at, mentions, mentions_everyone from eligible order by id
        on conflict (sender_id, chat_id, nonce) where nonce is not null do nothing
        returning id
    ), linked_files as (
        insert into message_files (message_id, position, file_id)
        select e.id, a.position, a.file_id
        from attachments a join eligible e on e.message = a.message join inserted n on n.id = e.id
    )
    select e.message, 'written', e.id, e.created_at from eligible e
    -- "is true" makes it a hashed lookup: the planner expects one row, so a join would
    -- be a nested loop.
    where (e.id in (select n.id from inserted n)) is true;

    get diagnostics written_count = row_count;
    if written_count = cardinality(chat_ids) then return; end if;

    -- The reason for each skipped message; for a written message the first outcome
    -- counts. A used nonce is checked last: an invalid message must get the same
    -- outcome whatever else the batch holds.
    return query
    select i.nth::int - 1,
           case when m.user_id is null then 'not_a_member'
                when not m.can_send then 'cannot_send'
                when i.reply_to is not null and reply_target.id is null then 'reply_not_found'
                when exists (
                    select from unnest(file_messages, file_ids) as a (message, file_id)
                    where a.message = i.nth - 1 and not exists (
                        select from files f where f.id = a.file_id and f.uploader_id = i.sender_id)
                ) then 'file_not_found'
                when original.id is not null then 'duplicate'
                -- The reply target is in this batch, so its id was unknown to the sender.
                else 'reply_not_found'
           end, original.id, original.created_at
    from unnest(chat_ids, sender_ids, reply_to_ids, nonces) with ordinality as i (chat_id, sender_id, reply_to, nonce, nth)
    left join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id
    left join messages original on original.sender_id = i.sender_id and original.chat_id = i.chat_id and original.nonce = i.nonce
    left join messages reply_target on reply_target.chat_id = i.chat_id and reply_target.id = i.reply_to;
end $$;
