//! The integration tests, one file a feature. They run against the real servers
//! over a real Postgres and read like sentences.

mod commit_order;
mod delivery;
mod journey;
mod resume;
