//! Confab's words: every noun of the system with its types, its rules and its
//! SQL. Both servers stand on this crate and on nothing of each other.
#![warn(missing_docs)]

pub mod accounts;
pub mod auth;
pub mod bans;
pub mod blocks;
pub mod bootstrap;
pub mod chats;
pub mod config;
pub mod db;
pub mod demo;
pub mod devdb;
pub mod error;
pub mod events;
pub mod files;
pub mod housekeeping;
pub mod ids;
pub mod invites;
pub mod members;
pub mod messages;
pub mod metrics;
pub mod net;
pub mod presence;
pub mod realm;
pub mod receipts;
pub mod redis;
pub mod replicas;
pub mod rights;
pub mod scale;
pub mod search;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod typing;
pub mod users;
pub mod web;
pub mod whispers;

pub use error::{Error, Result};
pub use ids::{ChatId, EventId, FileId, MessageId, UserId};
pub use time::Time;
