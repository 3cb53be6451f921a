//! An embedded Postgres: a durable private cluster for `confab dev`, or a temporary
//! cluster for tests. It listens on a unix socket only, needs no password, and stops
//! with its owner, even if the owner is killed.
#![warn(missing_docs)]

mod binaries;
mod cluster;
mod lifeline;
mod os_user;

pub use binaries::Binaries;
pub use cluster::{Cluster, ClusterLocation};
pub use os_user::OsUser;

use std::{env, io, os::unix::process::CommandExt, path::PathBuf, process::Command};

/// Why the embedded Postgres is unavailable. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres is not installed.
    #[error(
        "no Postgres found. Install it (`apt-get install postgresql` or `brew install postgresql@17`), \
         set CONFAB_PG_BIN to its bin directory, or set DATABASE_URL to another server"
    )]
    NotInstalled,
    /// The installed Postgres is too old.
    #[error(
        "the Postgres in {} has version {version}; Confab needs 15 or newer. \
         Install a newer version, or set CONFAB_PG_BIN to its bin directory",
        folder.display()
    )]
    TooOld {
        /// The bin directory.
        folder: PathBuf,
        /// The major version.
        version: u32,
    },
    /// The data belongs to another major version.
    #[error(
        "the data in {} was written by Postgres {found}, and the Postgres here is {installed}. \
         Set CONFAB_PG_BIN to Postgres {found}, or dump and restore; Confab leaves the data untouched", folder.display()
    )]
    VersionMismatch {
        /// The data directory of the cluster.
        folder: PathBuf,
        /// The version in its PG_VERSION file.
        found: String,
        /// The version of the binaries.
        installed: u32,
    },
    /// Another server is using the data.
    #[error("the database in {} is in use by process {pid}; stop it first", folder.display())]
    InUse {
        /// The data directory of the cluster.
        folder: PathBuf,
        /// The process id of its postmaster.
        pid: u32,
    },
    /// This process is root, and there is no unprivileged user to run Postgres as.
    #[error("Postgres does not run as root, and no unprivileged user was found; set CONFAB_PG_USER to one")]
    NoOsUser,
    /// The server did not start.
    #[error("Postgres did not start. The end of its log:\n{0}")]
    NotStarted(String),
    /// An operation on a file or process failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation that failed.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// An SQL statement failed.
    #[error("the embedded database: {0}")]
    Sql(#[from] sqlx::Error),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// Starts this program again without the `PG*` variables of the environment, if there are
/// any. sqlx would apply `PGOPTIONS` to every connection, and a program cannot safely change
/// its own environment.
pub fn restart_without_postgres_variables() -> Result<(), Error> {
    let has_variables = env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"PG"));
    if !has_variables {
        return Ok(());
    }
    let program = env::current_exe().map_err(io_error("finding this program"))?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    remove_postgres_variables(&mut command);
    Err(io_error("starting without the PG* variables")(command.exec()))
}

/// Keeps the `PG*` variables of the environment from a program of Postgres. They belong to
/// another database, and some of them give up durability.
fn remove_postgres_variables(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
}
