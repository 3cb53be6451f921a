//! Finds the Postgres binaries of this machine.

use crate::{Error, io_error};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that supports all features that the schema uses.
const MIN_VERSION: u32 = 15;

/// An installation of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The directory that contains `initdb` and `postgres`.
    pub folder: PathBuf,
    /// The major version.
    pub version: u32,
}

impl Binaries {
    /// Finds an installation in `$CONFAB_PG_BIN` if set, else on the PATH, with
    /// `pg_config`, or in the directories of Debian, Red Hat, Homebrew and Postgres.app.
    /// If all are too old, the error names one of them.
    pub fn find() -> Result<Self, Error> {
        if let Some(folder) = env::var_os("CONFAB_PG_BIN") {
            return Self::in_folder(Path::new(&folder))?.ok_or(Error::NotInstalled);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).filter_map(|folder| {
            // A link on the PATH points to the directory of the other programs.
            fs::canonicalize(folder.join("postgres")).ok()?.parent().map(Path::to_owned)
        });
        let configured = Command::new("pg_config")
            .arg("--bindir")
            .output()
            .ok()
            .and_then(|output| Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())));
        let mut error = Error::NotInstalled;
        for folder in on_path.chain(configured).chain(well_known_folders()) {
            match Self::in_folder(&folder) {
                Ok(Some(binaries)) => return Ok(binaries),
                Ok(None) => {}
                Err(found) => error = found,
            }
        }
        Err(error)
    }

    fn in_folder(folder: &Path) -> Result<Option<Self>, Error> {
        if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
            return Ok(None);
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .map_err(io_error(format!("reading the version of {}", folder.display())))?;
        // Example: "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(|word| word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .unwrap_or(0);
        Self::checked(folder, version).map(Some)
    }

    /// Rejects a version that does not support the schema.
    fn checked(folder: &Path, version: u32) -> Result<Self, Error> {
        if version < MIN_VERSION {
            return Err(Error::TooOld { folder: folder.to_owned(), version });
        }
        Ok(Self { folder: folder.to_owned(), version })
    }
}

/// Directories of common installations, newest first within each family.
fn well_known_folders() -> Vec<PathBuf> {
    let families: [(&str, &str, &str); 6] = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    let mut found = Vec::new();
    for (parent, prefix, bin) in families {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join(bin)))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        found.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_that_is_too_old_is_refused_with_a_sentence() {
        let error = Binaries::checked(Path::new("/pg/bin"), 14).expect_err("too old").to_string();
        assert!(error.contains("/pg/bin has version 14") && error.contains("needs 15 or newer"), "{error}");
        assert!(Binaries::checked(Path::new("/pg/bin"), 15).is_ok());
    }
}
