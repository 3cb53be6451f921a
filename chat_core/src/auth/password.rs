//! Password hashing: argon2id on blocking threads, with limited concurrency.

use super::BreachedPasswords;
use crate::{
    Error, Result,
    values::{Password, PasswordText, Username},
};
use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Maximum number of queued operations; further ones fail as unavailable.
const MAX_QUEUED: usize = 256;

/// The lowest score of an accepted password: about 10^8 guesses.
const MIN_SCORE: zxcvbn::Score = zxcvbn::Score::Three;

/// The name of the product, which is in many passwords of its users.
const PRODUCT: &str = "confab";

/// Hashes and verifies passwords, with limited concurrency: each operation takes
/// 19 MiB and about ten milliseconds of a core.
#[derive(Debug, Clone)]
pub struct Hasher {
    queue: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    breached: Option<BreachedPasswords>,
    /// The hash to verify the password of an unknown user against, so that the
    /// response takes as long as for a known user.
    dummy_hash: Arc<str>,
}

impl Hasher {
    /// Creates a hasher that runs one operation per core at a time.
    pub fn new() -> Result<Self> {
        Self::with_breached_passwords(None)
    }

    /// Like [`Self::new`]. New passwords must not be in the given file.
    pub fn with_breached_passwords(breached: Option<BreachedPasswords>) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let dummy_hash = hash_blocking("nobody has this password")?;
        let queue = Arc::new(Semaphore::new(cores + MAX_QUEUED));
        let permits = Arc::new(Semaphore::new(cores));
        Ok(Self { queue, permits, breached, dummy_hash: dummy_hash.into() })
    }

    /// The argon2id PHC string (97 characters) of a password.
    pub async fn hash(&self, password: Password) -> Result<String> {
        self.run_blocking(move || hash_blocking(password.as_str())).await?
    }

    /// Whether the password matches the hash. `None` takes as long and never
    /// matches.
    pub async fn verify(&self, password: PasswordText, hash: Option<String>) -> Result<bool> {
        let (hash, has_hash) = match hash {
            Some(hash) => (hash, true),
            None => (self.dummy_hash.to_string(), false),
        };
        let matches = self
            .run_blocking(move || {
                let parsed = PasswordHash::new(&hash).map_err(|e| Error::internal(e.to_string()))?;
                Ok::<_, Error>(Argon2::default().verify_password(password.as_str().as_bytes(), &parsed).is_ok())
            })
            .await??;
        Ok(matches && has_hash)
    }

    /// Rejects a password that is easy to guess: a common one, one made from the username, the
    /// email or the name of the product, or one that was published in a data breach.
    pub async fn check_strength(&self, password: &Password, username: &Username, email: &str) -> Result<()> {
        let mut inputs = vec![PRODUCT.to_owned(), username.as_str().to_owned(), email.to_owned()];
        for name in [username.as_str(), email] {
            inputs.extend(name.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
        }
        let (password, breached) = (password.clone(), self.breached.clone());
        let (score, is_breached) = self
            .run_blocking(move || {
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let score = zxcvbn::zxcvbn(password.as_str(), &inputs).score();
                let is_breached = breached.map_or(Ok(false), |breached| breached.contains(&password));
                (score, is_breached)
            })
            .await?;
        if is_breached.map_err(Error::internal)? {
            return Err(Error::invalid_with_code(
                "password",
                "breached",
                "this password was published in a data breach; choose another one",
            ));
        }
        if score < MIN_SCORE {
            return Err(Error::invalid_with_code(
                "password",
                "weak",
                "this password is easy to guess; try a few unrelated words",
            ));
        }
        Ok(())
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _queue_permit =
            self.queue.try_acquire().map_err(|_| Error::Unavailable("too many passwords to hash at once".into()))?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(Error::internal)?;
        spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(Error::internal)
    }
}

fn hash_blocking(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|e| Error::internal(e.to_string()))?;
    Ok(hash.to_string())
}
