//! WhatsApp, by the Business Cloud API.

mod account;
mod compose;
pub(crate) mod graph;
mod incoming;
mod receive;
mod send;

pub(crate) use account::check;
pub(crate) use receive::ReceiveContext;
pub(crate) use send::{SendContext, send};
