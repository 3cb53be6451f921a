//! The integration tests, one file per feature. They run against the real servers over
//! a real Postgres.

mod accounts;
mod audience;
mod bootstrap;
mod chats;
mod commit_order;
mod delivery;
mod editing;
mod faults;
mod files;
mod http;
mod journey;
mod members;
mod messages;
mod metrics;
mod openapi;
mod presence;
mod rate_limit;
mod reactions;
mod read_state;
mod relay;
mod resume;
mod retention;
mod rollback;
mod scale;
mod schema;
mod search;
mod sessions;
mod slow_consumers;
mod streams;
mod test_rest;
mod tokens;
mod users;
mod validation;
mod websocket;
mod writer;
