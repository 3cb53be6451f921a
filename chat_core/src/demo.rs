//! The demo world of `fixtures/demo.json`: what `confab dev` shows a newcomer
//! and what every test starts from.

use crate::{
    Error, MessageId, Result, UserId,
    auth::Hasher,
    chats::{self, ChatType, NewChat},
    events,
    messages::{NewMessage, Writer},
    receipts::{self, Kind},
    text::{Content, DisplayName, Email, Password, Username},
    users::{self, NewUser, UserPatch},
};
use serde::Deserialize;
use sqlx::{Connection, PgPool};
use std::collections::HashMap;

const WORLD: &str = include_str!("../../fixtures/demo.json");

/// The demo world's people and chats.
#[derive(Debug, Deserialize)]
pub struct World {
    /// Everybody's.
    pub password: Password,
    /// Who lives in it.
    pub users: Vec<Person>,
    chats: Vec<Room>,
}

/// One of its people.
#[derive(Debug, Deserialize)]
pub struct Person {
    /// Short name.
    pub username: Username,
    /// Full name.
    pub display_name: DisplayName,
    /// For signing in.
    pub email: Email,
}

#[derive(Debug, Deserialize)]
struct Room {
    #[serde(rename = "type")]
    kind: ChatType,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    owner: String,
    members: Vec<String>,
    messages: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    from: String,
    text: Content,
    /// How many lines up the message is that this one answers.
    reply_to: Option<usize>,
}

/// What the fixture says.
pub fn world() -> Result<World> {
    serde_json::from_str(WORLD).map_err(Error::internal)
}

/// Fills an empty database with the demo world; one with people in it is left
/// alone. Answers whether it did.
pub async fn seed(db: &PgPool, hasher: &Hasher) -> Result<bool> {
    // Of two processes that start at once one seeds. The connection is closed
    // afterwards, which gives the lock back whatever happened.
    let mut turn = db.acquire().await?.detach();
    sqlx::query("select pg_advisory_lock(hashtext('confab demo'))").execute(&mut turn).await?;
    let is_empty: bool = sqlx::query_scalar("select not exists (select from users)").fetch_one(&mut turn).await?;
    if is_empty {
        let world = world()?;
        let writer = Writer::start(db.clone());
        let people = create_people(db, hasher, &world).await?;
        for room in world.chats {
            create_room(db, &writer, &people, room).await?;
        }
    }
    turn.close().await?;
    Ok(is_empty)
}

async fn create_people(db: &PgPool, hasher: &Hasher, world: &World) -> Result<HashMap<String, UserId>> {
    let password_hash = hasher.hash(world.password.clone()).await?;
    let mut people = HashMap::new();
    for person in &world.users {
        let new = NewUser {
            username: person.username.clone(),
            email: person.email.clone(),
            password_hash: password_hash.clone(),
        };
        let id = users::create(db, &new).await?;
        let mut log = events::begin(db, id).await?;
        let patch = UserPatch { display_name: Some(person.display_name.clone()), ..UserPatch::default() };
        users::update(&mut log, id, &patch).await?;
        log.commit().await?;
        people.insert(person.username.as_str().to_owned(), id);
    }
    Ok(people)
}

async fn create_room(db: &PgPool, writer: &Writer, people: &HashMap<String, UserId>, room: Room) -> Result<()> {
    let who = |name: &String| {
        people.get(name).copied().ok_or_else(|| Error::internal(format!("the demo world has no {name}")))
    };
    let owner = who(&room.owner)?;
    let members = room.members.iter().map(who).collect::<Result<Vec<_>>>()?;
    let new = match (room.kind, members.as_slice()) {
        (ChatType::Single, [other]) => NewChat::Single(*other),
        (kind, _) => NewChat::Room { kind, name: room.name, description: room.description, members },
    };
    let chat = chats::create(db, owner, new).await?.chat;
    let mut said: Vec<MessageId> = Vec::new();
    let mut read: HashMap<UserId, MessageId> = HashMap::new();
    for line in room.messages {
        let reply_to = line.reply_to.and_then(|up| said.len().checked_sub(up)).and_then(|at| said.get(at).copied());
        let new = NewMessage {
            chat_id: chat.id,
            sender_id: who(&line.from)?,
            content: line.text,
            files: Vec::new(),
            reply_to,
            nonce: None,
        };
        let sender = new.sender_id;
        let id = writer.send(new).await?.message.id;
        said.push(id);
        read.insert(sender, id);
    }
    // Whoever said something has read what was said before.
    for (person, last) in read {
        receipts::mark(db, chat.id, person, Kind::Read, last).await?;
    }
    Ok(())
}
