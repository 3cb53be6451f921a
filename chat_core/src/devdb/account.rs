//! Which user Postgres runs as. It refuses to run as root, so root lends it an
//! unprivileged account.

use super::{Error, io_error};
use std::{
    env, fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

/// An unprivileged user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As in `/etc/passwd`; without an entry there Postgres does not start.
    pub name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Nobody else when not root; otherwise `$CONFAB_PG_USER`, `postgres` or
    /// `nobody`, the first that exists.
    pub fn to_become() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(io_error("reading /etc/passwd"))?;
        let wanted = env::var("CONFAB_PG_USER");
        let names: Vec<&str> = match &wanted {
            Ok(name) => vec![name],
            Err(_) => vec!["postgres", "nobody"],
        };
        names.into_iter().find_map(|name| find(&users, name)).map(Some).ok_or(Error::NoAccount)
    }

    /// Has the command run as this user, with none of our groups.
    pub fn lend_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a folder to this user.
    pub fn own(&self, folder: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid)).map_err(io_error(format!(
            "giving {} to the user {}",
            folder.display(),
            self.name
        )))
    }

    /// Whether this user can walk down to a folder: every part of the way must
    /// let them through. The home folder of root does not.
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

fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (uid, gid): (u32, u32) = (uid.parse().ok()?, gid.parse().ok()?);
        (user == name && uid != 0).then(|| Account { name: name.into(), uid, gid })
    })
}
