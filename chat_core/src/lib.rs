//! Confab's domain: the types, rules and SQL of every entity (users, chats, messages
//! and so on), and the event log. Both servers depend on this crate and not on each
//! other. The crate contains no HTTP and no command line.
//!
//! The log (`events`) imports no entity module; entity modules append to it. The
//! catalogue of events (`catalogue`) imports all of them, and none imports it.
#![warn(missing_docs)]

pub mod accounts;
mod admission;
pub mod audit;
pub mod auth;
pub mod bans;
pub mod blocks;
pub mod bootstrap;
pub mod bots;
pub mod bridges;
pub mod catalogue;
pub mod chats;
pub mod cluster_key;
pub mod db;
pub mod default_channels;
pub mod ephemeral;
pub mod error;
pub mod events;
mod feeds;
pub mod file_links;
pub mod files;
pub mod housekeeping;
mod hub_signature;
pub mod ids;
pub mod inbox;
pub mod invites;
pub mod mail;
pub mod mcp_confirmations;
pub mod members;
pub mod mentions;
pub mod messages;
pub mod metrics;
pub mod notification_settings;
pub mod oauth;
pub mod operators;
pub mod outbox;
pub mod outgoing;
pub mod permissions;
pub mod presence;
pub mod push;
pub mod receipts;
pub mod redis;
pub mod replicas;
pub mod sealing;
pub mod search;
pub mod time;
pub mod typing;
pub mod users;
pub mod values;
pub mod webhook_avatars;
pub mod webhook_endpoints;
pub mod webhooks;

pub use error::{Error, Result};
pub use ids::{
    AuditEntryId, BridgeChatId, BridgeId, ChatId, DeliveryId, EndpointId, EventId, FileId, InboxItemId, LaneId,
    MessageId, SavedMessageId, UserId, WebhookId,
};
pub use time::Time;
