//! Passes on what is whispered: looks up for whom it is, and offers it to those of
//! them who are here. It never holds up what is in the log.

use crate::{frame, hub::Hub, relay::cause};
use chat_core::{
    ChatId, UserId, presence,
    presence::Presence,
    whispers::{Whisper, Whispers},
};
use sqlx::PgPool;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

/// How many parcels may wait; more are forgotten.
const QUEUE: usize = 256;

/// A larger crowd is not told who types: there is always somebody.
const MAX_HEARERS: usize = 1_000;

/// How long Redis is left alone after it hung up.
const PAUSE: Duration = Duration::from_millis(500);

/// A handle to the task that passes on.
#[derive(Debug, Clone)]
pub(crate) struct Ear(mpsc::Sender<Vec<Whisper>>);

impl Ear {
    /// Listens in Redis, if there is one, and to whatever `hear` is told.
    pub(crate) fn start(whispers: Whispers, db: PgPool, hub: Arc<Hub>, shutdown: CancellationToken) -> Self {
        let (sender, mut parcels) = mpsc::channel(QUEUE);
        let ear = Self(sender);
        tokio::spawn({
            let (ear, shutdown) = (ear.clone(), shutdown.clone());
            async move {
                let listening = async {
                    loop {
                        if let Err(error) = whispers.hear(|parcel| ear.hear(parcel)).await {
                            tracing::debug!(%error, cause = cause(&error), "cannot hear whispers in Redis");
                            sleep(PAUSE).await;
                        }
                    }
                };
                shutdown.run_until_cancelled(listening).await
            }
        });
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while let Some(1..) = shutdown.run_until_cancelled(parcels.recv_many(&mut batch, QUEUE)).await {
                pass_on(&db, &hub, batch.drain(..).flatten()).await;
            }
        });
        ear
    }

    /// Passes on what was whispered.
    pub(crate) fn hear(&self, parcel: Vec<Whisper>) {
        if self.0.try_send(parcel).is_err() {
            tracing::debug!("too many whispers");
        }
    }
}

async fn pass_on(db: &PgPool, hub: &Hub, whispers: impl Iterator<Item = Whisper>) {
    // The last word on each person is enough.
    let mut seen: HashMap<UserId, Presence> = HashMap::new();
    for whisper in whispers {
        match whisper {
            Whisper::Presence(presence) => drop(seen.insert(presence.user_id, presence)),
            Whisper::Typing(typing) => {
                if hub.is_crowd(typing.chat_id, MAX_HEARERS) {
                    continue;
                }
                let mut hearers = hub.hearers(&HashSet::from([typing.chat_id]));
                hearers.remove(&typing.user_id);
                hub.whisper(&hearers, &frame::whisper(&Whisper::Typing(typing)));
            }
        }
    }
    if seen.is_empty() {
        return;
    }
    let people: Vec<UserId> = seen.keys().copied().collect();
    let rooms = match presence::rooms(db, &people).await {
        Ok(rooms) => rooms,
        Err(error) => {
            tracing::debug!(%error, cause = cause(&error), "cannot find out who is to know");
            return;
        }
    };
    let mut of: HashMap<UserId, HashSet<ChatId>> = HashMap::new();
    for (person, chat) in rooms {
        of.entry(person).or_default().insert(chat);
    }
    for (person, presence) in seen {
        let mut hearers = hub.hearers(&of.remove(&person).unwrap_or_default());
        // Their own other devices too.
        hearers.insert(person);
        hub.whisper(&hearers, &frame::whisper(&Whisper::Presence(presence)));
    }
}
