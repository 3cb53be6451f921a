//! Where Postgres is installed on this machine.

use super::{Error, io_error};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that has everything the schema uses.
const OLDEST: u32 = 14;

/// An installation of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `initdb` and `postgres`.
    pub folder: PathBuf,
    /// The major version.
    pub version: u32,
}

impl Binaries {
    /// The first that is found of: `$CONFAB_PG_BIN`, the PATH, what `pg_config`
    /// says, and the newest in the folders of Debian, Red Hat, Homebrew and
    /// Postgres.app.
    pub fn find() -> Result<Self, Error> {
        if let Some(folder) = env::var_os("CONFAB_PG_BIN") {
            return Self::in_folder(Path::new(&folder))?.ok_or(Error::NotInstalled);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).filter_map(|folder| {
            // A link on the PATH leads to the folder that has the rest too.
            fs::canonicalize(folder.join("postgres")).ok()?.parent().map(Path::to_owned)
        });
        let configured = Command::new("pg_config")
            .arg("--bindir")
            .output()
            .ok()
            .and_then(|output| Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())));
        for folder in on_path.chain(configured).chain(usual_folders()) {
            if let Some(found) = Self::in_folder(&folder)? {
                return Ok(found);
            }
        }
        Err(Error::NotInstalled)
    }

    fn in_folder(folder: &Path) -> Result<Option<Self>, Error> {
        if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
            return Ok(None);
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .map_err(io_error(format!("asking {} for its version", folder.display())))?;
        // As in "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(|word| word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .unwrap_or(0);
        if version < OLDEST {
            return Err(Error::TooOld { folder: folder.to_owned(), version });
        }
        Ok(Some(Self { folder: folder.to_owned(), version }))
    }
}

/// Newest first within each family.
fn usual_folders() -> Vec<PathBuf> {
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
