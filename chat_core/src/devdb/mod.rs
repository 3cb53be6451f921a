//! An embedded Postgres: a durable private one for `confab dev`, a throw-away
//! one for tests. It listens on a unix socket only, needs no password, and stops
//! when its owner does, however that ends.

mod account;
mod binaries;
mod cluster;
mod lifeline;

pub use account::Account;
pub use binaries::Binaries;
pub use cluster::{Cluster, Home};

use std::{io, path::PathBuf};

/// Why there is no embedded Postgres. Each is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not installed.
    #[error(
        "no Postgres found. Install it (`apt-get install postgresql` or `brew install postgresql@17`), \
         point CONFAB_PG_BIN at its bin folder, or set DATABASE_URL to a server of your own"
    )]
    NotInstalled,
    /// Too old.
    #[error("the Postgres in {} has version {version}; Confab needs 14 or newer", folder.display())]
    TooOld {
        /// Its bin folder.
        folder: PathBuf,
        /// Its major version.
        version: u32,
    },
    /// The data is of another major version.
    #[error(
        "the data in {} was written by Postgres {found}, and the Postgres here is {here}. \
         Point CONFAB_PG_BIN at Postgres {found}, or dump and restore; Confab leaves the data untouched", folder.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        folder: PathBuf,
        /// What its PG_VERSION says.
        found: String,
        /// The version of the binaries.
        here: u32,
    },
    /// A server is running on this data.
    #[error("the database in {} is in use by process {pid}; stop it first", folder.display())]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
        /// Its postmaster.
        pid: u32,
    },
    /// Root, and nobody to become.
    #[error("Postgres does not run as root, and there is no user to run it as; set CONFAB_PG_USER to one")]
    NoAccount,
    /// It was started and did not come up.
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
    /// It came up and refused a statement.
    #[error("the embedded database refused: {0}")]
    Sql(#[from] sqlx::Error),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
