-- The only JSON form of a message, for REST and for events. A deleted message keeps its
-- row and loses its content. `me` in reactions is null here, because the JSON is sent
-- to many users. It is a view, because the planner inlines views; a function would be
-- planned again by every statement that calls it.

create view message_view as
select m.id, m.chat_id, m.sender_id, m.nonce, m.reply_to,
       (select row_to_json(j) from (
           select m.id, m.chat_id, m.sender_id,
                  case when m.deleted_at is null then m.content else '' end as content,
                  coalesce((
                      select json_agg(file_json(f) order by mf.position)
                      from message_files mf join files f on f.id = mf.file_id
                      where mf.message_id = m.id and m.deleted_at is null
                  ), '[]'::json) as files,
                  m.reply_to, m.nonce,
                  to_rfc3339(m.created_at) as created_at,
                  to_rfc3339(m.edited_at) as edited_at,
                  to_rfc3339(m.deleted_at) as deleted_at,
                  m.mentions, m.mentions_everyone,
                  coalesce((
                      select json_agg(json_build_object('emoji', r.emoji, 'count', r.count, 'me', null) order by r.since, r.emoji)
                      from (
                          select x.emoji, count(*) as count, min(x.created_at) as since
                          from reactions x where x.message_id = m.id group by x.emoji
                      ) r
                  ), '[]'::json) as reactions,
                  m.pinned_at is not null as pinned
       ) j) as json
from messages m;
