//! The servers of one database: how they find each other in a Redis that others
//! use too, and how they know each other's words from anybody's.

use crate::{Error, Result};
use aws_lc_rs::hmac;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::fmt;

/// The length of a seal, in bytes.
const SEAL_BYTES: usize = 32;

/// What the servers of one database have in common.
pub struct Realm {
    name: String,
    secret: hmac::Key,
}

impl Realm {
    /// Asks the database.
    pub async fn of(db: &PgPool) -> Result<Self> {
        let (system, database, secret): (i64, i64, Vec<u8>) = sqlx::query_as(
            "select (select system_identifier from pg_control_system()),
                    (select oid::bigint from pg_database where datname = current_database()), secret
             from realm",
        )
        .fetch_one(db)
        .await?;
        Ok(Self::new(system, database, &secret))
    }

    fn new(system: i64, database: i64, secret: &[u8]) -> Self {
        let digest = Sha256::digest(format!("{system}/{database}"));
        let name = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        Self { name, secret: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// The name of something in Redis: `confab:<realm>:<what>`. No other realm
    /// has it, though it be a copy of the same database.
    pub fn key(&self, what: impl fmt::Display) -> String {
        format!("confab:{}:{what}", self.name)
    }

    /// Puts a seal in front of some bytes, good for the one place where they go.
    pub fn seal(&self, place: &str, bytes: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES + bytes.len());
        sealed.extend_from_slice(self.sign(place, bytes).as_ref());
        sealed.extend_from_slice(bytes);
        sealed
    }

    /// The bytes, if a server of this realm sealed them for this place.
    pub fn open<'a>(&self, place: &str, sealed: &'a [u8]) -> Result<&'a [u8]> {
        let (seal, bytes) = sealed.split_at_checked(SEAL_BYTES).ok_or_else(foreign)?;
        let mut signed = Vec::with_capacity(place.len() + 1 + bytes.len());
        signed.extend_from_slice(place.as_bytes());
        signed.push(0);
        signed.extend_from_slice(bytes);
        hmac::verify(&self.secret, &signed, seal).map_err(|_| foreign())?;
        Ok(bytes)
    }

    fn sign(&self, place: &str, bytes: &[u8]) -> hmac::Tag {
        let mut signer = hmac::Context::with_key(&self.secret);
        signer.update(place.as_bytes());
        signer.update(&[0]);
        signer.update(bytes);
        signer.sign()
    }
}

fn foreign() -> Error {
    Error::internal("no server of this realm said this")
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Realm({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_realm_sealed_for_this_place_opens() {
        let (realm, other) = (Realm::new(1, 2, b"secret"), Realm::new(1, 2, b"another"));
        let sealed = realm.seal("here", b"words");
        assert_eq!(realm.open("here", &sealed).expect("ours"), b"words");
        assert!(realm.open("there", &sealed).is_err());
        assert!(other.open("here", &sealed).is_err());
        for nth in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[nth] ^= 1;
            assert!(realm.open("here", &forged).is_err(), "byte {nth}");
        }
        assert!(realm.open("here", b"short").is_err());
    }

    #[test]
    fn a_copy_of_a_database_is_another_realm() {
        assert_ne!(Realm::new(1, 2, b"s").key("x"), Realm::new(1, 3, b"s").key("x"));
    }
}
