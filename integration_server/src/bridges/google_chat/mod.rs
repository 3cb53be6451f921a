//! Google Chat, by the API for Chat apps.

mod account;
pub(crate) mod api;
mod compose;
mod incoming;
mod read;
mod receive;
mod send;
pub(crate) mod tokens;

pub(crate) use account::check;
pub(crate) use read::read_events;
pub(crate) use receive::ReceiveContext;
pub(crate) use send::{SendContext, send};
