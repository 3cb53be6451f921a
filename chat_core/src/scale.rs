//! A large world, made up: for measuring, and for finding the query that reads a
//! whole table. The same numbers make the same world.

use crate::{Result, housekeeping, search};
use sqlx::PgPool;

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// People besides those who are there.
    pub users: i32,
    /// Chats: one with everybody, direct ones, groups and channels.
    pub chats: i32,
    /// What they said: a tenth of it where everybody is.
    pub messages: i32,
}

/// A million messages, ten thousand people, five thousand chats.
pub const LARGE: Scale = Scale { users: 10_000, chats: 5_000, messages: 1_000_000 };

/// How many rows one statement writes.
const STEP: i32 = 20_000;

/// Of how many chats the marks are written at once: each counts what is unread.
const CHATS_STEP: usize = 250;

/// Adds the world to a database that holds the demo world. Ends with its
/// statistics, so that plans are as they would be.
pub async fn seed(db: &PgPool, scale: Scale) -> Result<()> {
    let Scale { users, chats, messages } = scale;
    housekeeping::make_room(db).await?;
    steps(db, users, USERS, &[]).await?;
    steps(db, chats, CHATS, &[users]).await?;
    for sql in [MEMBERS, PAIRS] {
        steps(db, chats, sql, &[users]).await?;
    }
    steps(db, users, EVERYBODY, &[]).await?;
    steps(db, messages, MESSAGES, &[messages, chats]).await?;
    steps(db, messages / 20, REACTIONS, &[messages]).await?;
    for first in (1..=chats).step_by(CHATS_STEP) {
        sqlx::query(MARKS).bind(first).bind(first + CHATS_STEP as i32 - 1).execute(db).await?;
    }
    while search::index(db).await? > 0 {}
    sqlx::query("vacuum analyze").execute(db).await?;
    Ok(())
}

/// Runs a statement for the numbers 1 to `count`, so many at a time.
async fn steps(db: &PgPool, count: i32, sql: &'static str, more: &[i32]) -> Result<()> {
    let step = usize::try_from(STEP).unwrap_or(usize::MAX);
    for first in (1..=count).step_by(step) {
        let last = first.saturating_add(STEP - 1).min(count);
        let statement = sqlx::query(sql).bind(first).bind(last);
        more.iter().fold(statement, |statement, number| statement.bind(number)).execute(db).await?;
    }
    Ok(())
}

const USERS: &str = "
    insert into users (username, display_name, email, password_hash)
    select 'user' || n, 'User ' || n, 'user' || n || '@example.net', '' from generate_series($1, $2) n";

/// Half of them direct chats, a fifth groups, the rest channels.
const CHATS: &str = "
    insert into chats (type, name, pair_low, pair_high)
    select kind::chat_type, case kind when 'single' then '' else 'room ' || n end,
           case kind when 'single' then least(one.id, other.id) end,
           case kind when 'single' then greatest(one.id, other.id) end
    from generate_series($1, $2) n
    cross join lateral (select case when n % 10 < 5 then 'single' when n % 10 < 7 then 'group'
                                    when n % 10 < 9 then 'private_channel' else 'public_channel' end as kind) k
    join users one on one.username = 'user' || (1 + n % ($3 - 1))
    join users other on other.username = 'user' || (1 + (n * 7 + 3) % ($3 - 1))
    where kind <> 'single' or one.id <> other.id
    on conflict do nothing";

const PAIRS: &str = "
    insert into chat_members (chat_id, user_id)
    select c.id, who from (
        select c.*, row_number() over (order by id) as nth from chats c where c.id > 4
    ) c cross join unnest(array[c.pair_low, c.pair_high]) who
    where c.type = 'single' and c.nth between $1 and $2 and $3 > 0";

/// Thirty in each; the first person of the demo world is in one of ten.
const MEMBERS: &str = "
    insert into chat_members (chat_id, user_id, role)
    select c.id, u.id, case when k = 0 then 'owner' else 'member' end::member_role
    from (select c.*, row_number() over (order by id) as nth from chats c where c.id > 4) c
    cross join generate_series(0, 29) k
    join users u on u.username = case when k = 1 and c.nth % 10 = 0 then 'alice'
                                      else 'user' || (1 + (c.nth * 31 + k * 17) % ($3 - 1)) end
    where c.type <> 'single' and c.nth between $1 and $2
    on conflict do nothing";

/// Into the first chat.
const EVERYBODY: &str = "
    insert into chat_members (chat_id, user_id)
    select 1, u.id from generate_series($1, $2) n join users u on u.username = 'user' || n
    on conflict do nothing";

/// Five to fourteen words of two thousand, one every half a minute, some of them
/// answers, some of them calls.
const MESSAGES: &str = "
    insert into messages (chat_id, sender_id, content, mentions, created_at)
    select place.chat_id, place.user_id,
           (select string_agg('w' || (hashint4(n * 37 + k) & 2047), ' ') from generate_series(1, 5 + n % 10) k),
           case when n % 51 = 0 then array[1]::bigint[] else '{}' end,
           now() - ($3 - n) * interval '30 seconds'
    from generate_series($1, $2) n
    cross join lateral (
        select m.chat_id, m.user_id from chat_members m
        where m.chat_id = case when n % 10 = 0 then 1 else 5 + (hashint4(n) & 2147483647) % $4 end
        order by m.user_id offset case when n % 10 = 0 then hashint4(n) & 31 else n % 2 end limit 1
    ) place
    order by n";

const REACTIONS: &str = "
    insert into reactions (message_id, emoji, user_id)
    select m.id, '👍', m.sender_id from generate_series($1, $2) n join messages m on m.id = 1 + (n * 19) % $3
    on conflict do nothing";

/// Everybody has read half of what is in their chats; in the first one, where
/// everybody is, a hundred have.
const MARKS: &str = "
    insert into receipts (chat_id, user_id, kind, message_id)
    select m.chat_id, m.user_id, 'read', half.id
    from chat_members m
    join (
        select distinct on (chat_id) chat_id, id
        from (
            select chat_id, id, ntile(2) over (partition by chat_id order by id) as half
            from messages where chat_id between $1 and $2
        ) x
        where half = 1 order by chat_id, id desc
    ) half on half.chat_id = m.chat_id
    where m.chat_id > 4 or m.user_id <= 100
    on conflict do nothing";
