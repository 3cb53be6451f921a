-- Functions in the list of tables, which the planner puts into the query that calls them. A call of a scalar function
-- whose body has a subquery costs about 100 microseconds instead.

-- As `read_position`.
create function find_read_position(m chat_members) returns table (read_up_to bigint)
language sql stable parallel safe rows 1
begin atomic
    select greatest(m.joined_after_message_id, least(m.unread_after, (
        select max(r.message_id) from receipts r
        where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'read'
    )));
end;

create or replace function read_position(m chat_members) returns bigint
language sql stable parallel safe
return (select position.read_up_to from find_read_position(m) position);

-- As `inbox_hidden_ids`: the users whom a user has blocked, and their bots.
create function find_hidden_ids(of_user bigint) returns table (hidden_ids bigint[])
language sql stable parallel safe rows 1
begin atomic
    select array(
        select b.blocked_id from blocks b where b.blocker_id = of_user
        union
        select u.id from blocks b join users u on u.owner_id = b.blocked_id where b.blocker_id = of_user
    );
end;

create or replace function inbox_hidden_ids(of_user bigint) returns bigint[]
language sql stable parallel safe
return (select hidden.hidden_ids from find_hidden_ids(of_user) hidden);
