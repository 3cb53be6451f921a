//! Pushes: which messages notify whom (`rules`, of what `candidates` loads), the devices that subscribe
//! (`subscriptions`), the feed that finds new messages in the event log (`feed`), and what is sent and when
//! (`notifications`). The integration server encrypts and sends.

mod candidates;
pub mod feed;
pub mod notifications;
pub mod rules;
pub mod subscriptions;

pub use subscriptions::{NewNativeSubscription, NewSubscription, Preview, Renewal, Subscription};
