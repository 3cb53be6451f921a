//! The key that the servers of one database share. It namespaces their keys in a
//! Redis that others may use too, signs what they write there, and derives secrets.

use crate::{Error, Result};
use aws_lc_rs::hmac;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::fmt;

/// Length of a signature (HMAC-SHA256), in bytes.
const SIGNATURE_BYTES: usize = 32;

/// The id and the secret that the servers of one database share.
pub struct ClusterKey {
    id: String,
    secret: hmac::Key,
}

impl ClusterKey {
    /// Loads the key from the database.
    pub async fn load(db: &PgPool) -> Result<Self> {
        let (system, database, secret): (i64, i64, Vec<u8>) = sqlx::query_as(
            "select (select system_identifier from pg_control_system()),
                    (select oid::bigint from pg_database where datname = current_database()), secret
             from cluster_key",
        )
        .fetch_one(db)
        .await?;
        Ok(Self::new(system, database, &secret))
    }

    fn new(system: i64, database: i64, secret: &[u8]) -> Self {
        let mut id = hex::encode(Sha256::digest(format!("{system}/{database}")));
        id.truncate(10);
        Self { id, secret: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// The name of a Redis key: `confab:<cluster id>:<name>`. Each cluster has different
    /// names, even a cluster on a copy of the same database.
    pub fn redis_key(&self, name: impl fmt::Display) -> String {
        format!("confab:{}:{name}", self.id)
    }

    /// Prefixes bytes with a signature that is valid only for `context`.
    pub fn sign(&self, context: &str, bytes: &[u8]) -> Vec<u8> {
        let mut signed = Vec::with_capacity(SIGNATURE_BYTES + bytes.len());
        signed.extend_from_slice(self.compute_tag(context, bytes).as_ref());
        signed.extend_from_slice(bytes);
        signed
    }

    /// Returns the bytes if a server of this cluster signed them for `context`.
    pub fn verify<'a>(&self, context: &str, signed: &'a [u8]) -> Result<&'a [u8]> {
        let (tag, bytes) = signed.split_at_checked(SIGNATURE_BYTES).ok_or_else(invalid_signature)?;
        let mut message = Vec::with_capacity(context.len() + 1 + bytes.len());
        message.extend_from_slice(context.as_bytes());
        message.push(0);
        message.extend_from_slice(bytes);
        hmac::verify(&self.secret, &message, tag).map_err(|_| invalid_signature())?;
        Ok(bytes)
    }

    /// Derives 32 bytes from others, which only servers of this cluster can do.
    pub fn derive(&self, context: &str, bytes: &[u8]) -> Vec<u8> {
        self.compute_tag(context, bytes).as_ref().to_vec()
    }

    fn compute_tag(&self, context: &str, bytes: &[u8]) -> hmac::Tag {
        let mut signer = hmac::Context::with_key(&self.secret);
        signer.update(context.as_bytes());
        signer.update(&[0]);
        signer.update(bytes);
        signer.sign()
    }
}

fn invalid_signature() -> Error {
    Error::internal("the signature is not from this cluster")
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_cluster_signed_for_this_context_verifies() {
        let (key, other) = (ClusterKey::new(1, 2, b"secret"), ClusterKey::new(1, 2, b"another"));
        let signed = key.sign("here", b"words");
        assert_eq!(key.verify("here", &signed).expect("a valid signature"), b"words");
        assert!(key.verify("there", &signed).is_err());
        assert!(other.verify("here", &signed).is_err());
        for index in 0..signed.len() {
            let mut forged = signed.clone();
            forged[index] ^= 1;
            assert!(key.verify("here", &forged).is_err(), "byte {index}");
        }
        assert!(key.verify("here", b"short").is_err());
    }

    #[test]
    fn a_copy_of_a_database_is_another_cluster() {
        assert_ne!(ClusterKey::new(1, 2, b"s").redis_key("x"), ClusterKey::new(1, 3, b"s").redis_key("x"));
    }
}
