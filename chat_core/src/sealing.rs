//! Seals secrets that the server must read again, such as the signing secrets of outgoing
//! webhooks: a copy of the database does not reveal them without the key file.
//!
//! A sealed secret is one byte for the version (1), the id of the key (4 bytes), a random nonce
//! (12 bytes), and the ciphertext of AES-256-GCM with its tag. It can be opened only for the
//! location in the database for which it was sealed.
//!
//! The key file has one key per line: 32 bytes in Base64, newest first. The first seals; all
//! open.

use crate::{Error, Result, auth::keys::write_atomically};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::Rng;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// The server has no keys.
pub const NOT_CONFIGURED: Error = Error::Conflict {
    code: "not_configured",
    detail: "this server keeps no secrets; its administrator has to set SECRETS_KEY_FILE",
};

/// The columns with sealed secrets.
const SEALED_COLUMNS: [(&str, &str); 5] = [
    ("webhook_endpoints", "secret"),
    ("webhook_endpoints", "previous_secret"),
    ("bridges", "secrets"),
    ("webhooks", "github_secret"),
    ("push_keys", "private_key"),
];

/// How many keys a rotation keeps: the new one, and the previous one for servers that have not
/// read the file again.
const KEPT_KEYS: usize = 2;

/// Length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// The version of the format of sealed secrets.
const VERSION: u8 = 1;

/// Length of what precedes the nonce: the version and the id of the key.
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES;
const KEY_ID_BYTES: usize = 4;

/// Only the owner of the file can read it.
const KEY_FILE_MODE: u32 = 0o600;

type KeyId = [u8; KEY_ID_BYTES];

/// Where a secret is in the database.
#[derive(Debug, Clone, Copy)]
pub struct SecretLocation {
    /// The table.
    pub table: &'static str,
    /// The id of the row.
    pub row: i64,
}

impl SecretLocation {
    fn aad(self) -> Aad<Vec<u8>> {
        Aad::from(format!("{}/{}", self.table, self.row).into_bytes())
    }
}

/// Seals and opens secrets with the keys of a file. It reads the file again when it seals, and
/// when it meets a key that it does not know, so a rotation needs no restart.
#[derive(Clone)]
pub struct Sealer {
    path: Arc<Path>,
    keys: Arc<RwLock<Vec<SealingKey>>>,
}

struct SealingKey {
    id: KeyId,
    key: LessSafeKey,
}

impl SealingKey {
    fn parse(line: &str) -> io::Result<Self> {
        let bytes = BASE64_STANDARD.decode(line).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "each line must be a key: 32 bytes in Base64"))?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(io::Error::other)?;
        let mut id = KeyId::default();
        id.copy_from_slice(&Sha256::digest(&bytes)[..KEY_ID_BYTES]);
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

impl Sealer {
    /// Reads the key file.
    pub fn open_file(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), keys: Arc::new(RwLock::new(read_keys(path)?)) })
    }

    /// Reads the key file. Creates it with a new key if there is none; only its owner can read it.
    pub fn create_file(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            write_atomically(path, KEY_FILE_MODE, &new_key())?;
        }
        Self::open_file(path)
    }

    /// Adds a new key, which seals from now on, to a key file. Creates the file if there is none.
    pub fn add_key(path: &Path) -> io::Result<()> {
        if !path.exists() {
            return write_atomically(path, KEY_FILE_MODE, &new_key());
        }
        read_keys(path)?;
        let text = fs::read_to_string(path)?;
        let lines = [new_key()].into_iter().chain(key_lines(&text).map(str::to_owned));
        write_atomically(path, KEY_FILE_MODE, &join_lines(lines))
    }

    /// Removes the keys that seal nothing any more, after all secrets were sealed with the newest.
    pub fn remove_old_keys(path: &Path) -> io::Result<()> {
        let text = fs::read_to_string(path)?;
        write_atomically(path, KEY_FILE_MODE, &join_lines(key_lines(&text).take(KEPT_KEYS).map(str::to_owned)))
    }

    /// Seals a secret for one location in the database.
    pub fn seal(&self, location: SecretLocation, secret: &[u8]) -> Result<Vec<u8>> {
        self.reload()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.first().ok_or_else(|| Error::internal("the key file is empty"))?;
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut ciphertext = secret.to_vec();
        let failed = |_| Error::internal("cannot seal a secret");
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), location.aad(), &mut ciphertext)
            .map_err(failed)?;
        Ok([&[VERSION][..], &key.id, &nonce, &ciphertext].concat())
    }

    /// Opens a secret that was sealed for one location in the database.
    pub fn open(&self, location: SecretLocation, sealed: &[u8]) -> Result<Vec<u8>> {
        let (header, rest) = sealed.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let [VERSION, id @ ..] = header else { return Err(damaged()) };
        if !self.has_key(id) {
            self.reload()?;
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().find(|key| key.id == id).ok_or_else(|| {
            Error::internal("a secret is sealed with a key that is not in SECRETS_KEY_FILE; copy the current file")
        })?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut bytes = ciphertext.to_vec();
        let secret = key.key.open_in_place(nonce, location.aad(), &mut bytes).map_err(|_| damaged())?;
        Ok(secret.to_vec())
    }

    fn has_key(&self, id: &[u8]) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).iter().any(|key| key.id == id)
    }

    fn reload(&self) -> Result<()> {
        let keys = read_keys(&self.path).map_err(Error::internal)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

fn damaged() -> Error {
    Error::internal("a sealed secret is damaged, or was moved to another place")
}

fn new_key() -> String {
    let mut bytes = [0; KEY_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_STANDARD.encode(bytes)
}

fn join_lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn read_keys(path: &Path) -> io::Result<Vec<SealingKey>> {
    let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(with_path)?;
    let keys: Vec<SealingKey> =
        key_lines(&text).map(SealingKey::parse).collect::<io::Result<_>>().map_err(with_path)?;
    match keys.is_empty() {
        true => Err(with_path(io::Error::new(io::ErrorKind::InvalidData, "the file has no key"))),
        false => Ok(keys),
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Seals all secrets in the database again, with the newest key, and returns how many there are.
pub async fn reseal_all(db: &PgPool, sealer: &Sealer) -> Result<usize> {
    let mut count = 0;
    for (table, column) in SEALED_COLUMNS {
        let sql = format!("select id from {table} where {column} is not null order by id");
        let rows: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(db).await?;
        for row in rows {
            let location = SecretLocation { table, row };
            let mut tx = db.begin().await?;
            let sql = format!("select {column} from {table} where id = $1 for no key update");
            let sealed: Option<Option<Vec<u8>>> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(row).fetch_optional(&mut *tx).await?;
            let Some(sealed) = sealed.flatten() else { continue };
            let sql = format!("update {table} set {column} = $2 where id = $1");
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(row)
                .bind(sealer.seal(location, &sealer.open(location, &sealed)?)?)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SecretLocation = SecretLocation { table: "webhook_endpoints", row: 7 };

    #[test]
    fn a_secret_opens_only_where_it_was_sealed() {
        let folder = tempfile::tempdir().expect("a directory");
        let sealer = Sealer::create_file(&folder.path().join("key")).expect("a key");
        let sealed = sealer.seal(HERE, b"secret").expect("sealed");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(sealer.open(HERE, &sealed).expect("opened"), b"secret");
        assert_ne!(sealer.seal(HERE, b"secret").expect("sealed"), sealed, "each nonce is new");
        for elsewhere in [SecretLocation { row: 8, ..HERE }, SecretLocation { table: "bridges", ..HERE }] {
            assert!(sealer.open(elsewhere, &sealed).is_err(), "{elsewhere:?}");
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open(HERE, &changed).is_err(), "byte {index}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open(HERE, &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("key");
        let (writer, reader) = (Sealer::create_file(&path).expect("a key"), Sealer::open_file(&path).expect("the key"));
        let mut sealed = vec![writer.seal(HERE, b"0").expect("sealed")];
        for round in 1..6 {
            Sealer::add_key(&path).expect("another key");
            sealed.push(writer.seal(HERE, round.to_string().as_bytes()).expect("sealed"));
        }
        for (round, sealed) in sealed.iter().enumerate() {
            assert_eq!(reader.open(HERE, sealed).expect("opened"), round.to_string().as_bytes());
        }
        Sealer::remove_old_keys(&path).expect("removed");
        let reader = Sealer::open_file(&path).expect("the keys");
        assert!(reader.open(HERE, &sealed[3]).is_err(), "an old key should be gone");
        assert!(reader.open(HERE, &sealed[4]).is_ok() && reader.open(HERE, &sealed[5]).is_ok());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("the file").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_without_a_whole_key_is_rejected() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("key");
        assert!(Sealer::open_file(&path).is_err(), "there is none");
        for bad in ["", "\n", "AAAA\n", "not base64"] {
            fs::write(&path, bad).expect("written");
            assert!(Sealer::open_file(&path).is_err(), "{bad:?}");
            assert!(Sealer::create_file(&path).is_err(), "{bad:?} must not be replaced");
        }
    }
}
