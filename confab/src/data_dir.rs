//! The data directory of `confab dev`: keys, files and the database. One process uses
//! it at a time.

use anyhow::{Context, bail};
use chat_core::{
    auth::{Signer, keys},
    sealing::Sealer,
};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A locked data directory. Dropping this value releases the lock.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Locks the directory. Creates the directory if needed.
    pub(crate) fn lock(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("creating the data directory {}", path.display()))?;
        let path = fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?;
        let file = path.join("confab.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .with_context(|| format!("opening {}", file.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            bail!(
                "the data directory {} is in use by confab process {}; stop it or choose another directory with --data",
                path.display(),
                holder.trim()
            );
        }
        lock.set_len(0).and_then(|()| lock.rewind()).context("writing the lock")?;
        write!(lock, "{}", std::process::id()).context("writing the lock")?;
        Ok(Self { path, _lock: lock })
    }

    /// Loads the keys that seal secrets. Creates one on the first call.
    pub(crate) fn load_sealer(&self) -> anyhow::Result<Sealer> {
        Sealer::create_file(&self.create_key_folder()?.join("secrets.key")).context("reading the key of secrets")
    }

    fn create_key_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.path.join("keys");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).context("creating the key directory")?;
        Ok(folder)
    }

    /// Loads the key that signs tokens. Creates the key on the first call.
    pub(crate) fn load_signer(&self) -> anyhow::Result<Signer> {
        let folder = self.create_key_folder()?;
        let private = folder.join("jwt_private.pem");
        let public = folder.join("jwt_public.pem");
        keys::generate(&private, &public).map_err(crate::database::source_error).context("creating the keys")?;
        let signer = Signer::read(&private).and_then(|signer| signer.with_public_keys(&public));
        signer.with_context(|| format!("reading the keys in {}", folder.display()))
    }
}
