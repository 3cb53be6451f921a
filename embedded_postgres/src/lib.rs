//! An embedded Postgres: a durable private cluster for `confab dev`, a temporary
//! one for tests. It listens on a unix socket only, needs no password, and stops
//! with its owner, even if the owner is killed.
#![warn(missing_docs)]

mod binaries;
mod cluster;
mod lifeline;
mod os_user;

pub use binaries::Binaries;
pub use cluster::{Cluster, ClusterLocation};
pub use os_user::OsUser;

use std::{io, path::PathBuf};

/// Why there is no embedded Postgres. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not installed.
    #[error(
        "no Postgres found. Install it (`apt-get install postgresql` or `brew install postgresql@17`), \
         point CONFAB_PG_BIN at its bin folder, or set DATABASE_URL to a server of your own"
    )]
    NotInstalled,
    /// Too old.
    #[error(
        "the Postgres in {} has version {version}; Confab needs 15 or newer. \
         Install a newer one, or point CONFAB_PG_BIN at its bin folder",
        folder.display()
    )]
    TooOld {
        /// Its bin folder.
        folder: PathBuf,
        /// Its major version.
        version: u32,
    },
    /// The data belongs to another major version.
    #[error(
        "the data in {} was written by Postgres {found}, and the Postgres here is {installed}. \
         Point CONFAB_PG_BIN at Postgres {found}, or dump and restore; Confab leaves the data untouched", folder.display()
    )]
    VersionMismatch {
        /// The data directory of the cluster.
        folder: PathBuf,
        /// The version in its PG_VERSION file.
        found: String,
        /// The version of the binaries.
        installed: u32,
    },
    /// Another server runs on this data.
    #[error("the database in {} is in use by process {pid}; stop it first", folder.display())]
    InUse {
        /// The data directory of the cluster.
        folder: PathBuf,
        /// The process id of its postmaster.
        pid: u32,
    },
    /// This process is root, and there is no unprivileged user to run Postgres as.
    #[error("Postgres does not run as root, and there is no user to run it as; set CONFAB_PG_USER to one")]
    NoOsUser,
    /// The server did not come up.
    #[error("Postgres did not start. The end of its log:\n{0}")]
    NotStarted(String),
    /// A file or process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A statement failed.
    #[error("the embedded database: {0}")]
    Sql(#[from] sqlx::Error),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
