//! The integration tests, one file a feature. They run against the real servers
//! over a real Postgres and read like sentences.

mod accounts;
mod audience;
mod bootstrap;
mod chats;
mod commit_order;
mod delivery;
mod editing;
mod faults;
mod figures;
mod files;
mod input;
mod journey;
mod keeping;
mod messages;
mod openapi;
mod people;
mod people_in_chats;
mod presence;
mod rates;
mod reactions;
mod reading;
mod relay;
mod resume;
mod scale;
mod schema;
mod search;
mod sessions;
mod slow;
mod sockets;
mod streams;
mod test_rest;
mod tokens;
mod writer;
