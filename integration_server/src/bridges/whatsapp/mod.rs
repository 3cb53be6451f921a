//! WhatsApp, by the Business Cloud API.

mod account;
mod compose;
pub(crate) mod graph;
mod incoming;
mod receive;
mod send;
mod text;

pub(crate) use account::check;
pub(crate) use receive::{ReceiveContext, process};
pub(crate) use send::{EntryOutcome, SendContext, send};
