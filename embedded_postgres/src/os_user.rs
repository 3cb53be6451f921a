//! The user that Postgres runs as. Postgres does not run as root, so root runs it as
//! an unprivileged user.

use crate::{Error, io_error};
use std::{
    env, fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

/// An unprivileged user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsUser {
    /// The name in `/etc/passwd`. Postgres does not start without an entry there.
    pub name: String,
    uid: u32,
    gid: u32,
}

impl OsUser {
    /// For root, returns `$CONFAB_PG_USER` if set, else `postgres` or `nobody`. Returns
    /// `None` for any other user, who can run Postgres directly.
    pub fn find_unprivileged() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(io_error("reading /etc/passwd"))?;
        let wanted = env::var("CONFAB_PG_USER");
        let names: Vec<&str> = match &wanted {
            Ok(name) => vec![name],
            Err(_) => vec!["postgres", "nobody"],
        };
        names.into_iter().find_map(|name| find_user(&users, name)).map(Some).ok_or(Error::NoOsUser)
    }

    /// Runs the command as this user, without the groups of this process.
    pub fn apply_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this user the owner of a directory.
    pub fn chown(&self, folder: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid)).map_err(io_error(format!(
            "changing the owner of {} to {}",
            folder.display(),
            self.name
        )))
    }

    /// Makes this user the owner of everything in a directory if the cluster in it has
    /// another owner, because root copied it. Does not follow symbolic links.
    pub(crate) fn own_all(&self, folder: &Path, cluster: &Path) -> Result<(), Error> {
        match fs::metadata(cluster) {
            Ok(metadata) if metadata.uid() != self.uid => self.own_entries(folder),
            _ => Ok(()),
        }
    }

    fn own_entries(&self, folder: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(io_error(format!("reading {}", folder.display())))? {
            let entry = entry.map_err(io_error(format!("reading {}", folder.display())))?;
            let path = entry.path();
            // The directory last, so that an interrupted change is continued the next time.
            if entry.file_type().map_err(io_error(format!("reading {}", path.display())))?.is_dir() {
                self.own_entries(&path)?;
            }
            std::os::unix::fs::lchown(&path, Some(self.uid), Some(self.gid)).map_err(io_error(format!(
                "changing the owner of {} to {}",
                path.display(),
                self.name
            )))?;
        }
        Ok(())
    }

    /// Whether this user can access a directory, for which every parent must grant
    /// access. The home directory of root does not.
    pub fn can_reach(&self, folder: &Path) -> bool {
        folder.ancestors().filter_map(|part| fs::metadata(part).ok()).all(|part| {
            let bit = match part {
                ref own if own.uid() == self.uid => 0o100,
                ref group if group.gid() == self.gid => 0o010,
                _ => 0o001,
            };
            part.mode() & bit != 0
        })
    }
}

fn find_user(users: &str, name: &str) -> Option<OsUser> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (uid, gid): (u32, u32) = (uid.parse().ok()?, gid.parse().ok()?);
        (user == name && uid != 0).then(|| OsUser { name: name.into(), uid, gid })
    })
}
